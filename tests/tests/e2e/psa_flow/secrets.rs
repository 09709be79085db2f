//! What only a PSA and the product may know.

use super::*;

fn has(bytes: &[u8], needle: &str) -> bool {
    let needle = needle.as_bytes();
    bytes.windows(needle.len()).any(|window| window == needle)
}

pub async fn nothing_is_logged_or_lies_in_clear<P: Psa>(backend: Backend, psa: Fake<P>) {
    let app = TestApp::start_with(backend, &[ALLOW_STAND_INS, TRACE]).await;
    let id = app.owner.connect_psa(&psa).await;
    let report = app.owner.test_psa(&id).await;
    assert_eq!(report["ok"], true, "{report:#}");
    app.owner.sync_psa(&id, "full").await;
    register_callback(&app, &id).await;
    let record = psa.active_ids()[1];
    psa.rename(record, "Renamed by webhook");
    wait_for_name(&app, &psa, record, "Renamed by webhook").await;
    want_tickets(&app, &id).await;
    let owner = customer(&app.owner, "Contoso Ltd").await;
    let contoso = app
        .microsoft
        .add_tenant(tenant("Contoso", "contoso.example"));
    connect(&app, &owner, &contoso).await;
    app.owner.wait_for_run(contoso.id).await;
    withdraw_consent(&app, &contoso).await;
    wait_for_ticket(&app, &id, "open").await;
    let mut secrets = psa.secrets();
    assert!(secrets.len() >= 4, "{secrets:?}");
    // A PSA that refuses us hears the old ones once more.
    psa.rotate_secrets();
    let report = app.owner.test_psa(&id).await;
    assert_eq!(report["ok"], false, "{report:#}");
    secrets.extend(psa.secrets());

    let (log, dump) = (app.log(), app.database.dump());
    assert!(
        log.contains("/events/{secret}\" status=204"),
        "requests are logged"
    );
    assert!(
        has(&dump, "Renamed by webhook"),
        "the dump shows what is stored"
    );
    for secret in &secrets {
        assert!(secret.len() >= 10, "{secret}");
        assert!(!log.contains(secret.as_str()), "in the log: {secret}");
        assert!(!has(&dump, secret), "in clear: {secret}");
        let digits: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!has(&dump, &digits), "in clear, as digits: {secret}");
    }
}
