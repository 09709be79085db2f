//! What a PSA and the product do for each other: webhooks, tickets, matches, and what never shows.

mod matching;
mod secrets;
mod tickets;
mod webhooks;

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tenantry_tests::{
    app::{Caller, PATIENCE, TestApp},
    database::Backend,
    fake_microsoft::{
        seed::TenantSeed,
        state::{Decision, Tenant},
    },
    fake_psa::{FakeAutotask, FakeConnectWise, FakeHaloPsa, Seed, desk::Psa, handle::Fake},
    on_both_databases,
    psa_client::ALLOW_STAND_INS,
};

use crate::flow::{text, walk};

const TRACE: (&str, &str) = ("TENANTRY_LOG", "trace");

/// Polls until there is something to return.
async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A small tenant whose administrator accepts.
fn tenant(name: &str, domain: &str) -> TenantSeed {
    TenantSeed::new(name, domain)
        .users(5)
        .decision(Decision::Accept)
}

/// The id of the customer with this name.
async fn customer(caller: &Caller, name: &str) -> String {
    let customers = caller.list("/customers").await;
    let found = customers.iter().find(|customer| customer["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {customers:#?}"));
    text(found, "id").to_owned()
}

/// Connects a tenant for this customer, as technician and administrator would.
async fn connect(app: &TestApp, customer: &str, tenant: &Tenant) {
    let started = app.owner.connect(customer, &tenant.domains[0]).await;
    let page = walk(text(&started, "authorizationUrl")).await;
    assert_eq!(page.status, 200, "{page}");
    let is_connected = |status: &Value| status["status"] == "connected";
    app.owner
        .wait_for_status(tenant.id, "the connection", is_connected)
        .await;
}

/// Has the PSA call us.
async fn register_callback(app: &TestApp, id: &str) {
    let path = format!("/psa-connections/{id}/callback");
    let registered = app.owner.post(&path, &json!({})).await.expect(200).json();
    assert!(!text(&registered, "externalId").is_empty());
}

/// Waits until the customer of this record has this name.
async fn wait_for_name<P: Psa>(app: &TestApp, psa: &Fake<P>, record: i64, name: &str) {
    wait_for(&format!("the name {name}"), async || {
        let customers = app.owner.active_customers_of(psa.kind()).await;
        (customers.get(&record.to_string())? == name).then_some(())
    })
    .await;
}

/// Turns tickets on with the first choice of all that the PSA requires.
async fn want_tickets(app: &TestApp, id: &str) {
    let path = format!("/psa-connections/{id}/ticket-options");
    let offered = app.owner.get(&path).await.expect(200).json();
    let mut options = Map::new();
    for option in offered["items"].as_array().expect("options") {
        if option["required"] == true {
            let first = option["choices"][0]["id"].clone();
            options.insert(text(option, "name").to_owned(), first);
        }
    }
    assert!(!options.is_empty(), "{offered:#}");
    let settings = json!({"settings": {"tickets": {"enabled": true, "options": options}}});
    let path = format!("/psa-connections/{id}");
    app.owner.patch(&path, &settings).await.expect(200);
}

/// The one ticket that is kept at the PSA, once it is in this state.
async fn wait_for_ticket(app: &TestApp, id: &str, state: &str) -> Value {
    let path = format!("/psa-connections/{id}/tickets");
    wait_for(&format!("a ticket that is {state}"), async || {
        let mut tickets = app.owner.list(&path).await;
        assert!(tickets.len() < 2, "{tickets:#?}");
        tickets.pop().filter(|ticket| ticket["state"] == state)
    })
    .await
}

/// Withdraws the consent and lets the next run find that out.
async fn withdraw_consent(app: &TestApp, tenant: &Tenant) {
    tenant.grants.lock().unwrap().clear();
    app.advance_seconds(2 * 60 * 60);
    let path = format!("/tenants/{}/sync", tenant.id);
    let request = app.owner.request("POST", &path);
    // The server may end before it has answered.
    drop(request.json(&json!({"kind": "delta"})).send().await);
}

macro_rules! of_each_psa {
    ($($module:ident: $fake:ident),+ $(,)?) => {
        $(mod $module {
            use super::*;

            on_both_databases! {
                async fn n10_a_webhook_renames_a_customer_and_counts_once(backend: Backend) {
                    let psa = $fake::start(Seed::companies(30, 21)).await;
                    webhooks::a_webhook_renames_and_counts_once(backend, psa).await;
                }

                async fn n10_forged_webhooks_change_nothing_and_their_address_is_not_logged(backend: Backend) {
                    let psa = $fake::start(Seed::companies(30, 22)).await;
                    webhooks::forged_ones_change_nothing(backend, psa).await;
                }

                async fn a_webhook_that_is_removed_is_gone_at_the_psa(backend: Backend) {
                    let psa = $fake::start(Seed::companies(30, 23)).await;
                    webhooks::one_that_is_removed_is_gone(backend, psa).await;
                }

                async fn a_lost_tenant_has_one_ticket_until_it_is_back(backend: Backend) {
                    let psa = $fake::start(Seed::northgate()).await;
                    tickets::one_ticket_until_it_is_back(backend, psa).await;
                }

                async fn tenants_find_their_customers(backend: Backend) {
                    let psa = $fake::start(Seed::northgate()).await;
                    matching::tenants_find_their_customers(backend, psa).await;
                }

                async fn v9_nothing_secret_of_a_psa_is_logged_or_lies_in_clear(backend: Backend) {
                    let psa = $fake::start(Seed::northgate()).await;
                    secrets::nothing_is_logged_or_lies_in_clear(backend, psa).await;
                }
            }
        })+
    };
}

of_each_psa! {
    connectwise: FakeConnectWise,
    autotask: FakeAutotask,
    halopsa: FakeHaloPsa,
}
