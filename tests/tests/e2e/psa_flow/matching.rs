//! Customers of a PSA whose Microsoft tenants are connected: who belongs to whom.

use super::*;

/// Connects a tenant and takes it from its customer again.
async fn connect_without(app: &TestApp, customer: &str, seed: TenantSeed) -> String {
    let tenant = app.microsoft.add_tenant(seed);
    connect(app, customer, &tenant).await;
    app.owner.wait_for_run(tenant.id).await;
    let path = format!("/tenants/{}", tenant.id);
    let nobody = json!({"customerId": null});
    app.owner.patch(&path, &nobody).await.expect(200);
    tenant.id.to_string()
}

/// The one candidate of a tenant.
async fn only_candidate(app: &TestApp, tenant: &str) -> Value {
    let path = format!("/customer-matches?tenantId={tenant}");
    let found = app.owner.list(&path).await;
    let [found] = found.as_slice() else {
        panic!("one tenant: {found:#?}")
    };
    let candidates = found["candidates"].as_array().expect("candidates");
    let [candidate] = candidates.as_slice() else {
        panic!("one candidate: {found:#}")
    };
    candidate.clone()
}

async fn customer_of(app: &TestApp, tenant: &str) -> Value {
    let path = format!("/tenants/{tenant}");
    app.owner.get(&path).await.expect(200).json()["customerId"].clone()
}

fn names(list: &Value, member: &str) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|one| text(one, member).to_owned())
        .collect()
}

pub async fn tenants_find_their_customers<P: Psa>(backend: Backend, psa: Fake<P>) {
    let app = TestApp::start_with(backend, &[ALLOW_STAND_INS]).await;
    let id = app.owner.connect_psa(&psa).await;
    app.owner.sync_psa(&id, "full").await;
    app.owner.assert_customers_equal(&psa).await;
    let litware = customer(&app.owner, "Litware, Inc.").await;
    let without = async |name, domain| connect_without(&app, &litware, tenant(name, domain)).await;
    let contoso = without("Contoso", "contoso.example").await;
    let fabrikam = without("Fabrikam", "fabrikam.example").await;
    let woodgrove = without("Woodgrove", "woodgrove.example").await;
    let stranger = without("Stranger", "stranger.example").await;

    for (tenant, name, kinds, is_certain) in [
        (
            &contoso,
            "Contoso Ltd",
            &["mailDomain", "customerDomain", "website", "name"][..],
            true,
        ),
        (
            &fabrikam,
            "Fabrikam GmbH & Co. KG",
            &["customerDomain", "website", "mailDomain", "name"],
            false,
        ),
        (
            &woodgrove,
            "Woodgrove Bank",
            &["initialDomain", "mailDomain"],
            true,
        ),
    ] {
        let candidate = only_candidate(&app, tenant).await;
        assert_eq!(candidate["name"], name, "{candidate:#}");
        assert_eq!(candidate["certain"], is_certain, "{candidate:#}");
        assert_eq!(
            names(&candidate["evidence"], "kind"),
            kinds,
            "{candidate:#}"
        );
        let evidence = candidate["evidence"].as_array().expect("evidence");
        let mail = evidence.iter().find(|one| one["kind"] == "mailDomain");
        let through = &mail.expect("contacts")["psaConnectionIds"];
        assert_eq!(through, &json!([id]), "{candidate:#}");
    }
    let orphans = app
        .owner
        .get("/customer-matches/orphans")
        .await
        .expect(200)
        .json();
    assert_eq!(
        names(&orphans["tenants"], "tenantId"),
        std::slice::from_ref(&stranger),
        "{orphans:#}"
    );
    let left = names(&orphans["customers"], "name");
    for (name, is_left) in [
        ("Litware, Inc.", true),
        ("Tailspin Toys", true),
        ("Contoso Ltd", false),
        ("Fabrikam GmbH & Co. KG", false),
        ("Woodgrove Bank", false),
        ("Old Mill Café", false),
    ] {
        assert_eq!(left.contains(&name.to_owned()), is_left, "{name}: {left:?}");
    }

    let mut matches = Vec::new();
    for tenant in [&contoso, &fabrikam] {
        let candidate = only_candidate(&app, tenant).await;
        matches.push(json!({"tenantId": tenant, "customerId": candidate["customerId"]}));
    }
    let body = json!({"matches": matches});
    let confirmed = app
        .owner
        .post("/customer-matches/confirm", &body)
        .await
        .expect(200)
        .json();
    for (result, wish) in confirmed["results"]
        .as_array()
        .expect("results")
        .iter()
        .zip(&matches)
    {
        assert_eq!(result["changed"], true, "{confirmed:#}");
        let found = customer_of(&app, text(wish, "tenantId")).await;
        assert_eq!(found, wish["customerId"]);
    }
    let mut open = names(
        &json!(app.owner.list("/customer-matches").await),
        "tenantId",
    );
    open.sort();
    let mut expected = vec![woodgrove, stranger];
    expected.sort();
    assert_eq!(open, expected);

    nobody_named_a_customer(&app, &litware).await;
    assert!(psa.violations().is_empty(), "{:?}", psa.violations());
}

/// `POST /tenants/connect` without a customer.
async fn nobody_named_a_customer(app: &TestApp, litware: &str) {
    let tailspin = app
        .microsoft
        .add_tenant(tenant("Tailspin", "tailspin.example"));
    let body = json!({"tenant": "tailspin.example"});
    let started = app
        .owner
        .post("/tenants/connect", &body)
        .await
        .expect(201)
        .json();
    let owner = customer(&app.owner, "Tailspin Toys").await;
    assert_eq!(
        customer_of(app, &tailspin.id.to_string()).await,
        json!(owner)
    );
    let page = walk(text(&started, "authorizationUrl")).await;
    assert_eq!(page.status, 200, "{page}");
    app.owner.wait_for_run(tailspin.id).await;
    assert_eq!(
        customer_of(app, &tailspin.id.to_string()).await,
        json!(owner)
    );

    // Contacts alone are not enough, and the tenant's name is not known before it is connected.
    app.microsoft
        .add_tenant(tenant("Litware", "litware.example"));
    app.microsoft
        .add_tenant(tenant("Unknown", "unknown.example"));
    let ask = async |domain| {
        let body = json!({"tenant": domain});
        let refused = app.owner.post("/tenants/connect", &body).await;
        refused.expect_problem(422, "customerRequired")
    };
    let problem = ask("litware.example").await;
    let [candidate] = problem["candidates"]
        .as_array()
        .expect("candidates")
        .as_slice()
    else {
        panic!("one candidate: {problem:#}")
    };
    assert_eq!(candidate["customerId"], litware, "{problem:#}");
    assert_eq!(candidate["certain"], false, "{problem:#}");
    let evidence = &candidate["evidence"][0];
    assert_eq!(
        (&evidence["kind"], &evidence["contacts"]),
        (&json!("mailDomain"), &json!(2))
    );
    let problem = ask("unknown.example").await;
    assert_eq!(problem["candidates"], json!([]), "{problem:#}");
}
