//! Matches over HTTP: proposals, confirming them, what is left over, and the organisation's own domains.

use serde_json::json;
use tenantry_core::{
    access::OrgScope,
    customers::{Customer, NewCustomer},
    store::StoreError,
};
use tenantry_tests::database::Raw;
use uuid::Uuid;

use super::*;

const PATH: &str = "/api/msp-portal/customer-matches";
const DOMAINS: &str = "/api/msp-portal/organization/domains";

impl World {
    fn raw(&self) -> Raw {
        Raw::open(&format!(
            "sqlite://{}",
            self._folder.path().join("t.db").display()
        ))
    }

    async fn customer(&self, org: &Org, name: &str, domains: &[&str]) -> String {
        let scope = OrgScope::for_system(org.id);
        let new = NewCustomer {
            name: name.to_owned(),
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
        };
        let nothing =
            |_: &mut tenantry_core::store::Scoped<'_>, _: &Customer| Ok::<_, StoreError>(());
        let made = CustomerService::new(self.store.clone())
            .create(&scope, new, nothing)
            .await;
        made.unwrap().id.to_string()
    }

    /// A tenant that waits for consent and belongs to nobody.
    fn tenant(&self, org: &Org, domain: &str) -> String {
        let raw = self.raw();
        let tenant = Uuid::now_v7();
        let (org, id, now) = (raw.uuid(org.id.as_uuid()), raw.uuid(tenant), raw.now());
        raw.execute(&format!(
            "INSERT INTO tenants (org_id, tenant_id, connection_type, status, display_name, default_domain, \
             search_text, granted_permissions, missing_permissions, tags, version, created_at) VALUES \
             ({org}, {id}, 'adminConsent', 'pendingConsent', '{domain}', '{domain}', 't', '[]', '[]', '[]', 1, {now})"
        ));
        tenant.to_string()
    }
}

async fn confirm(app: &TestApp, key: &str, matches: &[(&str, &str)]) -> Answer {
    let matches: Vec<Value> = matches
        .iter()
        .map(|(tenant, customer)| json!({"tenantId": tenant, "customerId": customer}))
        .collect();
    let request = request(Method::POST, &format!("{PATH}/confirm"), Some(key));
    call(app, request.set_json(json!({"matches": matches}))).await
}

#[actix_web::test]
async fn a_proposal_is_shown_with_its_evidence_and_confirmed_once() {
    let world = World::new().await;
    let org = world.org("Northgate").await;
    let customer = world
        .customer(&org, "Contoso", &["contoso.onmicrosoft.com", "contoso.com"])
        .await;
    let other = world.customer(&org, "Other", &[]).await;
    let tenant = world.tenant(&org, "contoso.onmicrosoft.com");
    let lonely = world.tenant(&org, "lonely.example");
    let app = application(world.state()).await;
    let page = get(&app, PATH, &org.key).await.json();
    assert_eq!(
        (&page["total"], &page["nextCursor"]),
        (&json!(2), &Value::Null)
    );
    assert_eq!(
        page["items"][0],
        json!({
            "tenantId": tenant, "displayName": "contoso.onmicrosoft.com", "domains": ["contoso.onmicrosoft.com"],
            "candidates": [{
                "customerId": customer, "name": "Contoso", "score": 0.83, "certain": true,
                "evidence": [{"kind": "initialDomain", "value": "contoso.onmicrosoft.com", "psaConnectionIds": [], "contacts": null}],
            }],
        })
    );
    assert_eq!(page["items"][1]["candidates"], json!([]));
    let of_tenant = get(&app, &format!("{PATH}?tenantId={lonely}"), &org.key)
        .await
        .json();
    assert_eq!(of_tenant["items"][0]["tenantId"], json!(lonely));
    assert_eq!(of_tenant["total"], 1);
    let of_customer = get(&app, &format!("{PATH}?customerId={customer}"), &org.key)
        .await
        .json();
    assert_eq!(
        (&of_customer["total"], &of_customer["items"][0]["tenantId"]),
        (&json!(1), &json!(tenant))
    );
    let orphans = get(&app, &format!("{PATH}/orphans"), &org.key).await.json();
    assert_eq!(
        orphans,
        json!({
            "tenants": [{"tenantId": lonely, "displayName": "lonely.example", "domains": ["lonely.example"]}],
            "customers": [{"customerId": other, "name": "Other"}],
            "nextCursor": null, "tenantsTotal": 1, "customersTotal": 1,
        })
    );
    for changed in [true, false] {
        let confirmed = confirm(&app, &org.key, &[(&tenant, &customer)]).await;
        assert_eq!(
            (confirmed.status, confirmed.json()),
            (
                StatusCode::OK,
                json!({"results": [{"tenantId": tenant, "customerId": customer, "changed": changed}]})
            )
        );
    }
    let shown = get(&app, &format!("/api/msp-portal/tenants/{tenant}"), &org.key)
        .await
        .json();
    assert_eq!(shown["customerId"], json!(customer));
    let refused = confirm(&app, &org.key, &[(&lonely, &other), (&tenant, &other)]).await;
    let problem = refused.json();
    assert_eq!(
        (refused.status, &problem["code"]),
        (StatusCode::CONFLICT, &json!("tenantAlreadyMapped"))
    );
    assert_eq!(problem["customerId"], json!(customer));
    assert_eq!(problem["errors"][0]["pointer"], "/matches/1/tenantId");
    assert_eq!(
        get(&app, PATH, &org.key).await.json()["total"],
        1,
        "nothing was changed"
    );
}

#[actix_web::test]
async fn z4_ids_of_others_are_missing_ones_and_named_by_pointers() {
    let world = World::new().await;
    let (org, stranger) = (world.org("Northgate").await, world.org("Southwind").await);
    let customer = world.customer(&org, "Contoso", &["contoso.com"]).await;
    let tenant = world.tenant(&org, "contoso.com");
    let theirs = world.customer(&stranger, "Theirs", &["contoso.com"]).await;
    let app = application(world.state()).await;
    for key_and_ids in [
        (
            &stranger.key,
            &tenant,
            &theirs,
            json!(["/matches/0/tenantId"]),
        ),
        (&org.key, &tenant, &theirs, json!(["/matches/0/customerId"])),
        (
            &stranger.key,
            &tenant,
            &customer,
            json!(["/matches/0/tenantId", "/matches/0/customerId"]),
        ),
    ] {
        let (key, tenant, customer, pointers) = key_and_ids;
        let refused = confirm(&app, key, &[(tenant, customer)]).await;
        let problem = refused.json();
        assert_eq!(
            (refused.status, &problem["code"]),
            (StatusCode::NOT_FOUND, &json!("notFound"))
        );
        let named: Vec<_> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["pointer"].clone())
            .collect();
        assert_eq!(json!(named), pointers);
    }
    let page = get(&app, PATH, &org.key).await.json();
    assert_eq!(
        page["items"][0]["candidates"][0]["customerId"],
        json!(customer),
        "what others have takes nothing away"
    );
    for path in [
        PATH.to_owned(),
        format!("{PATH}?tenantId={tenant}"),
        format!("{PATH}?customerId={customer}"),
    ] {
        assert_eq!(
            get(&app, &path, &stranger.key).await.json()["total"],
            0,
            "{path}"
        );
    }
    let orphans = get(&app, &format!("{PATH}/orphans"), &stranger.key)
        .await
        .json();
    assert_eq!(
        (&orphans["tenantsTotal"], &orphans["customersTotal"]),
        (&json!(0), &json!(1))
    );
}

#[actix_web::test]
async fn what_cannot_be_confirmed_is_refused_as_a_whole() {
    let world = World::new().await;
    let org = world.org("Northgate").await;
    let customer = world.customer(&org, "Contoso", &[]).await;
    let inactive = world.customer(&org, "Gone", &[]).await;
    let (one, two) = (
        world.tenant(&org, "one.example"),
        world.tenant(&org, "two.example"),
    );
    let app = application(world.state()).await;
    let gone = format!("/api/msp-portal/customers/{inactive}");
    call(&app, request(Method::DELETE, &gone, Some(&org.key))).await;
    let refused = confirm(&app, &org.key, &[(&one, &customer), (&two, &inactive)]).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (StatusCode::NOT_FOUND, "customerNotFound")
    );
    assert_eq!(
        refused.json()["errors"][0]["pointer"],
        "/matches/1/customerId"
    );
    for (matches, pointer) in [
        (vec![], "/matches"),
        (
            vec![(one.as_str(), customer.as_str()); 2],
            "/matches/1/tenantId",
        ),
        (vec![(one.as_str(), customer.as_str()); 1_001], "/matches"),
    ] {
        let refused = confirm(&app, &org.key, &matches).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
    }
    assert_eq!(get(&app, PATH, &org.key).await.json()["total"], 2);
}

#[actix_web::test]
async fn both_lists_of_orphans_are_paged_by_one_cursor() {
    let world = World::new().await;
    let org = world.org("Northgate").await;
    for number in 0..3 {
        world
            .customer(&org, &format!("Customer {number}"), &[])
            .await;
    }
    for number in 0..5 {
        world.tenant(&org, &format!("t{number}.example"));
    }
    let app = application(world.state()).await;
    let (mut sizes, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(&app, &format!("{PATH}/orphans?limit=2{cursor}"), &org.key)
            .await
            .json();
        let size = |side: &str| page[side].as_array().unwrap().len();
        sizes.push((size("tenants"), size("customers")));
        assert_eq!(
            (&page["tenantsTotal"], &page["customersTotal"]),
            (&json!(5), &json!(3))
        );
        let Some(next) = page["nextCursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(sizes, [(2, 2), (2, 1), (1, 0)]);
}

#[actix_web::test]
async fn the_organisations_own_domains_are_kept_in_one_spelling_and_tie_nobody() {
    let world = World::new().await;
    let org = world.org("Northgate").await;
    let stranger = world.org("Southwind").await;
    let customer = world.customer(&org, "Contoso", &["msp.example"]).await;
    world.tenant(&org, "msp.example");
    let app = application(world.state()).await;
    let put = async |body: Value| {
        call(
            &app,
            request(Method::PUT, DOMAINS, Some(&org.key)).set_json(body),
        )
        .await
    };
    assert_eq!(
        get(&app, DOMAINS, &org.key).await.json(),
        json!({"domains": []})
    );
    let before = get(&app, PATH, &org.key).await.json();
    assert_eq!(
        before["items"][0]["candidates"][0]["customerId"],
        json!(customer)
    );
    let written = json!({"domains": ["MSP.example", "a.example", "msp.example"]});
    let kept = json!({"domains": ["a.example", "msp.example"]});
    for _ in 0..2 {
        assert_eq!(put(written.clone()).await.json(), kept);
    }
    assert_eq!(get(&app, DOMAINS, &org.key).await.json(), kept);
    assert_eq!(
        get(&app, DOMAINS, &stranger.key).await.json(),
        json!({"domains": []})
    );
    assert_eq!(
        get(&app, PATH, &org.key).await.json()["items"][0]["candidates"],
        json!([])
    );
    let events = get(
        &app,
        "/api/msp-portal/audit-events?action=organization.domainsChanged",
        &org.key,
    )
    .await
    .json();
    assert_eq!(
        events["items"].as_array().unwrap().len(),
        1,
        "the same again leaves no trace"
    );
    let refused = put(json!({"domains": ["a.example", "nope"]})).await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/domains/1");
    assert_eq!(
        put(json!({"domains": []})).await.json(),
        json!({"domains": []})
    );
}
