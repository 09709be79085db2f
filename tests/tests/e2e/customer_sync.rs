//! Customers from the three PSAs: what is stored equals what the PSA has, whatever happens in between.

use std::time::Duration;

use tenantry_tests::{
    app::TestApp,
    database::Backend,
    fake_psa::{
        FakeAutotask, FakeConnectWise, FakeHaloPsa, Seed,
        desk::Psa,
        faults::{Fault, FaultRule, status, throttled},
        handle::Fake,
    },
    on_both_databases,
    psa_client::ALLOW_STAND_INS,
};

/// Enough for several pages of each PSA.
const MANY: usize = 2_300;

async fn start(backend: Backend) -> TestApp {
    TestApp::start_with(backend, &[ALLOW_STAND_INS]).await
}

/// What all addresses of the list of customers contain.
fn customer_list<P: Psa>() -> &'static str {
    match P::KIND {
        "connectwise" => "/company/companies?",
        "autotask" => "/Companies/query",
        _ => "/api/Client?",
    }
}

async fn customers_arrive_and_follow<P: Psa>(backend: Backend, psa: Fake<P>) {
    psa.limit(None);
    let app = start(backend).await;
    let id = app.owner.connect_psa(&psa).await;
    let report = app.owner.test_psa(&id).await;
    assert_eq!(report["ok"], true, "{report:#}");
    let run = app.owner.sync_psa(&id, "full").await;
    assert_eq!(run["state"], "completed", "{run:#}");
    app.owner.assert_customers_equal(&psa).await;

    let active = psa.active_ids();
    psa.rename(active[0], "Renamed & Söhne");
    psa.deactivate(active[1]);
    psa.add_company("Brand New Ltd");
    let run = app.owner.sync_psa(&id, "incremental").await;
    assert_eq!(run["state"], "completed", "{run:#}");
    app.owner.assert_customers_equal(&psa).await;

    psa.activate(active[1]);
    psa.merge(active[2], active[3]);
    app.owner.sync_psa(&id, "full").await;
    app.owner.sync_psa(&id, "full").await;
    app.owner.assert_customers_equal(&psa).await;
    assert!(psa.violations().is_empty(), "{:?}", psa.violations());
}

async fn one_that_vanished_is_believed_gone_by_the_second_full_read<P: Psa>(
    backend: Backend,
    psa: Fake<P>,
) {
    let app = start(backend).await;
    let id = app.owner.connect_psa(&psa).await;
    app.owner.sync_psa(&id, "full").await;
    let gone = psa.active_ids()[4];
    psa.vanish(gone);
    app.owner.sync_psa(&id, "full").await;
    let customers = app.owner.active_customers_of(psa.kind()).await;
    assert!(customers.contains_key(&gone.to_string()));
    app.owner.sync_psa(&id, "full").await;
    app.owner.assert_customers_equal(&psa).await;
}

async fn a_server_that_is_killed_in_the_middle_goes_on<P: Psa>(backend: Backend, psa: Fake<P>) {
    psa.limit(None);
    psa.delay(Duration::from_millis(150));
    let mut app = start(backend).await;
    let id = app.owner.connect_psa(&psa).await;
    let run = app.owner.begin_psa_sync(&id, "full").await;
    let list = customer_list::<P>();
    let log = &psa.desk().log;
    log.wait_for(|request| request.decoded.contains(list) && request.status == 200)
        .await;
    app.kill();
    psa.delay(Duration::ZERO);
    app.serve().await;
    let run = app.owner.wait_for_psa_run(&id, &run).await;
    assert_eq!(run["state"], "completed", "{run:#}");
    app.owner.assert_customers_equal(&psa).await;
}

async fn refusals_faults_and_half_answers_lose_nothing<P: Psa>(backend: Backend, psa: Fake<P>) {
    psa.limit(None);
    let list = customer_list::<P>();
    let app = start(backend).await;
    let id = app.owner.connect_psa(&psa).await;
    for fault in [
        throttled(1),
        Fault::Html(503),
        status(502),
        Fault::Truncate(60),
        Fault::Reset,
    ] {
        psa.script(FaultRule::once(list, fault));
    }
    let run = app.owner.sync_psa(&id, "full").await;
    // A run that failed deactivated nobody, and the next one brings all.
    if run["state"] != "completed" {
        let run = app.owner.sync_psa(&id, "full").await;
        assert_eq!(run["state"], "completed", "{run:#}");
    }
    app.owner.assert_customers_equal(&psa).await;
    psa.desk().faults.clear();

    psa.script(FaultRule::always(list, Fault::EmptyPage));
    app.owner.sync_psa(&id, "full").await;
    psa.desk().faults.clear();
    app.owner.assert_customers_equal(&psa).await;
}

async fn rejected_credentials_are_told_and_not_tried_again_and_again<P: Psa>(
    backend: Backend,
    psa: Fake<P>,
) {
    let app = start(backend).await;
    let id = app.owner.connect_psa(&psa).await;
    app.owner.sync_psa(&id, "full").await;
    psa.rotate_secrets();
    psa.desk().log.clear();
    let run = app.owner.sync_psa(&id, "full").await;
    assert_eq!(run["state"], "failed", "{run:#}");
    let shown = app.owner.psa_connection(&id).await;
    assert_eq!(
        shown["trouble"]["code"], "psaCredentialsRejected",
        "{shown:#}"
    );
    assert!(psa.requests().len() < 10, "{:#?}", psa.requests());
    app.owner.assert_customers_equal(&psa).await;
    assert!(psa.violations().is_empty());
}

macro_rules! of_each_psa {
    ($($module:ident: $fake:ident),+ $(,)?) => {
        $(mod $module {
            use super::*;

            on_both_databases! {
                async fn customers_follow_what_the_psa_has(backend: Backend) {
                    let psa = $fake::start(Seed::companies(MANY, 11)).await;
                    customers_arrive_and_follow(backend, psa).await;
                }

                async fn one_that_vanished_is_gone_after_two_full_reads(backend: Backend) {
                    let psa = $fake::start(Seed::companies(60, 12)).await;
                    one_that_vanished_is_believed_gone_by_the_second_full_read(backend, psa).await;
                }

                async fn a_server_killed_in_the_middle_goes_on(backend: Backend) {
                    let psa = $fake::start(Seed::companies(MANY, 13)).await;
                    a_server_that_is_killed_in_the_middle_goes_on(backend, psa).await;
                }

                async fn refusals_and_half_answers_lose_nothing(backend: Backend) {
                    let psa = $fake::start(Seed::companies(300, 14)).await;
                    refusals_faults_and_half_answers_lose_nothing(backend, psa).await;
                }

                async fn rejected_credentials_are_told_once(backend: Backend) {
                    let psa = $fake::start(Seed::companies(60, 15)).await;
                    rejected_credentials_are_told_and_not_tried_again_and_again(backend, psa).await;
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
