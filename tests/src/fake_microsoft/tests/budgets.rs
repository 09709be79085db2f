//! Budgets of resource units: of an app in a tenant, and of an app in all of them.

use std::time::Duration;

use super::*;

/// Long enough that nothing flows back while a test runs.
const LONG: Duration = Duration::from_secs(100_000);

impl Bench {
    fn client_id(&self) -> String {
        let cloud = self.fake.cloud();
        let tokens = cloud.access_tokens.lock().unwrap();
        tokens[&self.token].client_id.clone()
    }
}

#[tokio::test]
async fn a_budget_refuses_what_is_too_much_and_says_how_long_to_wait() {
    let bench = Bench::new(seed(30)).await;
    let cloud = bench.fake.cloud();
    cloud.limit_units(bench.tenant.id, 5);
    let first = bench.get("/subscribedSkus").await;
    assert_eq!(first.status, 200);
    let second = bench.get("/subscribedSkus").await;
    assert_eq!(
        (second.status.as_u16(), second.code().as_str()),
        (429, "TooManyRequests")
    );
    assert!(second.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(
        second
            .header("x-ms-throttle-scope")
            .starts_with("Tenant_Application/ReadWrite/")
    );
    assert_eq!(
        second.header("x-ms-throttle-information"),
        "ResourceUnitLimitExceeded"
    );
    assert_eq!(cloud.units_used(bench.tenant.id), (1, 3));
    // Other services have budgets of their own.
    assert_eq!(
        bench.get("/deviceManagement/managedDevices").await.status,
        200
    );
}

#[tokio::test]
async fn a_limit_that_is_nearly_used_up_is_told_and_one_that_is_not_stays_untold() {
    let bench = Bench::new(seed(30)).await;
    let cloud = bench.fake.cloud();
    let name = "x-ms-throttle-limit-percentage";
    assert!(
        !bench
            .get("/subscribedSkus")
            .await
            .headers
            .contains_key(name)
    );
    cloud.limit_units_of_app(&bench.client_id(), 30, LONG);
    for _ in 0..8 {
        let got = bench.get("/subscribedSkus").await;
        assert!(
            !got.headers.contains_key(name),
            "24 of 30 units are not more than 0.8"
        );
    }
    assert_eq!(bench.get("/subscribedSkus").await.header(name), "0.9");
    assert_eq!(bench.get("/subscribedSkus").await.header(name), "1.0");
    for _ in 0..40 {
        let got = bench.get("/subscribedSkus").await;
        assert_eq!(got.status, 429);
        let share: f64 = got.header(name).parse().unwrap();
        assert!((1.0..=1.8).contains(&share), "{share}");
    }
    assert_eq!(bench.get("/subscribedSkus").await.header(name), "1.8");
}

#[tokio::test]
async fn the_limit_of_an_app_counts_all_its_tenants_and_names_the_application() {
    let bench = Bench::new(seed(30)).await;
    let cloud = bench.fake.cloud();
    let second = bench
        .fake
        .add_tenant(TenantSeed::new("Fabrikam", "fabrikam.com").users(5));
    let elsewhere = Uuid::new_v4().to_string();
    {
        let mut tokens = cloud.access_tokens.lock().unwrap();
        let mut token = tokens[&bench.token].clone();
        token.tenant = second.id;
        tokens.insert(elsewhere.clone(), token);
    }
    let client_id = bench.client_id();
    cloud.limit_units_of_app(&client_id, 5, LONG);
    assert_eq!(bench.get("/subscribedSkus").await.status, 200);
    let there = async |target: &str| {
        let url = format!("{}/v1.0{target}", bench.fake.graph_url());
        send(bench.http.get(url).bearer_auth(&elsewhere)).await
    };
    let refused = there("/subscribedSkus").await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.header("x-ms-throttle-scope"),
        format!("Application/ReadWrite/{client_id}/{}", second.id)
    );
    // Two units more at 5 in 100,000 seconds, and one for having asked.
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((39_900..=40_001).contains(&wait), "{wait}");
    let used = cloud.use_of_app(&client_id);
    assert_eq!((used.refused, used.granted, used.most_in_span), (1, 3, 6));
    assert_eq!(there("/organization").await.status, 200);
    assert_eq!(cloud.use_of_app(&client_id).granted, 4);
}

#[tokio::test]
async fn the_most_in_a_span_counts_what_was_refused_and_each_app_by_itself() {
    let bench = Bench::new(seed(30)).await;
    let cloud = bench.fake.cloud();
    cloud.limit_units(bench.tenant.id, 4);
    for status in [200, 429] {
        assert_eq!(bench.get("/subscribedSkus").await.status, status);
    }
    let used = cloud.use_of_tenant(bench.tenant.id);
    assert_eq!((used.refused, used.granted, used.most_in_span), (1, 3, 6));
    // Another app has a bucket of its own in the same tenant.
    let other = Uuid::new_v4().to_string();
    {
        let mut tokens = cloud.access_tokens.lock().unwrap();
        let mut token = tokens[&bench.token].clone();
        token.client_id = "66666666-2222-3333-4444-555555555555".to_owned();
        tokens.insert(other.clone(), token);
    }
    let url = format!("{}/v1.0/subscribedSkus", bench.fake.graph_url());
    assert_eq!(
        send(bench.http.get(url).bearer_auth(other)).await.status,
        200
    );
    let used = cloud.use_of_tenant(bench.tenant.id);
    assert_eq!((used.refused, used.granted, used.most_in_span), (1, 6, 6));
}

#[tokio::test]
async fn items_of_a_batch_are_charged_one_by_one() {
    let bench = Bench::new(seed(30)).await;
    let cloud = bench.fake.cloud();
    cloud.limit_units(bench.tenant.id, 5);
    let urls = ["/subscribedSkus".to_owned(), "/subscribedSkus".to_owned()];
    let got = bench.post("/$batch", &batch_of(&urls)).await;
    assert_eq!(got.status, 200);
    let answers = got.json();
    let answers = answers["responses"].as_array().unwrap();
    let refused = answers.iter().find(|one| one["id"] == "r1").unwrap();
    assert_eq!(refused["status"], 429);
    let headers = refused["headers"].as_object().unwrap();
    for name in [
        "retry-after",
        "x-ms-throttle-scope",
        "x-ms-throttle-information",
    ] {
        assert!(
            headers.keys().any(|key| key.eq_ignore_ascii_case(name)),
            "{headers:?}"
        );
    }
    assert_eq!(cloud.units_used(bench.tenant.id), (1, 3));
}
