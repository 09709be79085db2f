//! A ticket for a tenant in trouble, through kills at the worst moments.

use super::*;

pub async fn one_ticket_until_it_is_back<P: Psa>(backend: Backend, psa: Fake<P>) {
    // The PSA has made the ticket, and the server ends before it knows.
    let stop = ("TENANTRY_FAILPOINTS", "tickets.after_call=abort");
    let mut app = TestApp::start_with(backend, &[ALLOW_STAND_INS, stop]).await;
    let id = app.owner.connect_psa(&psa).await;
    app.owner.sync_psa(&id, "full").await;
    want_tickets(&app, &id).await;
    let owner = customer(&app.owner, "Contoso Ltd").await;
    let contoso = app
        .microsoft
        .add_tenant(tenant("Contoso", "contoso.example"));
    connect(&app, &owner, &contoso).await;
    app.owner.wait_for_run(contoso.id).await;
    assert!(psa.tickets().is_empty(), "no trouble, no ticket");
    withdraw_consent(&app, &contoso).await;
    app.wait_for_end().await;
    assert_eq!(psa.tickets().len(), 1, "{:#?}", psa.tickets());

    app.unset("TENANTRY_FAILPOINTS");
    app.serve().await;
    let kept = wait_for_ticket(&app, &id, "open").await;
    assert_eq!(kept["trouble"], "reauthorizationRequired", "{kept:#}");
    assert_eq!(kept["error"], Value::Null, "{kept:#}");
    app.kill();
    app.serve().await;
    let retry = format!("/psa-connections/{id}/tickets/retry");
    let waiting = app.owner.post(&retry, &json!({})).await.expect(202).json();
    assert_eq!(waiting, json!({"tickets": 0}));
    let status = app.owner.status(contoso.id).await;
    assert_eq!(status["status"], "reauthorizationRequired", "{status:#}");
    let tickets = psa.tickets();
    let [ticket] = tickets.as_slice() else {
        panic!("one ticket: {tickets:#?}")
    };
    assert!(!ticket.closed && ticket.notes.is_empty(), "{ticket:#?}");
    assert_eq!(
        ticket.external.as_deref(),
        kept["key"].as_str(),
        "{ticket:#?}"
    );
    assert_eq!(kept["ticketId"], ticket.id.to_string());
    assert_eq!(kept["customerExternalId"], ticket.company.to_string());
    let company = psa.look(|world| world.companies[&ticket.company].shown());
    assert_eq!(company, "Contoso Ltd");

    connect(&app, &owner, &contoso).await;
    wait_for_ticket(&app, &id, "closed").await;
    let tickets = psa.tickets();
    let [ticket] = tickets.as_slice() else {
        panic!("one ticket: {tickets:#?}")
    };
    assert!(ticket.closed, "{ticket:#?}");
    assert_eq!(ticket.notes.len(), 1, "{ticket:#?}");
    assert!(ticket.notes[0].text.contains("Contoso"), "{ticket:#?}");
    assert_eq!(app.owner.psa_connection(&id).await["trouble"], Value::Null);
    assert!(psa.violations().is_empty(), "{:?}", psa.violations());
}
