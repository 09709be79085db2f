//! Steps of a consent flow that several files of tests take.

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use serde_json::{Map, Value};
use tenantry_tests::{
    app::{Answer, Caller, TestApp},
    browser::{Browser, Visit},
    fake_microsoft::{
        seed::TenantSeed,
        state::{Decision, Tenant},
    },
};
use url::Url;

/// A small tenant whose administrator accepts.
pub fn seed(name: &str) -> TenantSeed {
    TenantSeed::new(name, &format!("{}.example", name.to_lowercase()))
        .users(5)
        .decision(Decision::Accept)
}

/// Begins to connect a tenant for a customer of its own.
pub async fn start(caller: &Caller, tenant: &Tenant) -> Value {
    let customer = caller.create_customer(&tenant.display_name).await;
    caller.connect(&customer, &tenant.domains[0]).await
}

/// A member of an answer that must be a text.
#[track_caller]
pub fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    let member = answer[name].as_str();
    member.unwrap_or_else(|| panic!("no {name} in {answer:#}"))
}

/// Asks for one address without following where it leads.
#[expect(
    clippy::disallowed_methods,
    reason = "a front end of a customer, not a client of the product"
)]
pub async fn hop(url: &str) -> reqwest::Response {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a client");
    client.get(url).send().await.expect("an answer")
}

/// What Microsoft's page answers with, as the fields of its redirect.
pub async fn fields_of(microsoft_url: &str) -> Value {
    let answer = hop(microsoft_url).await;
    let location = answer.headers().get(LOCATION);
    let location = location.unwrap_or_else(|| panic!("no redirect from {microsoft_url}"));
    let location = Url::parse(location.to_str().expect("text")).expect("a URL");
    let pairs = location.query_pairs();
    let fields: Map<String, Value> = pairs
        .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
        .collect();
    Value::Object(fields)
}

/// Relays what Microsoft's page answers with.
pub async fn relay(caller: &Caller, microsoft_url: &str) -> Answer {
    let fields = fields_of(microsoft_url).await;
    caller.post("/tenants/callback", &fields).await
}

/// Relays both legs of a flow to its end.
pub async fn relay_to_the_end(caller: &Caller, started: &Value) -> Answer {
    let first = relay(caller, text(started, "microsoftUrl")).await;
    let next = first.expect(200).json();
    relay(caller, text(&next, "nextUrl")).await
}

/// Opens a link as a browser would, one hop: the cookie it was given and Microsoft's address.
pub async fn open_one_hop(link: &str) -> (String, String) {
    let answer = hop(link).await;
    assert_eq!(answer.status().as_u16(), 303);
    let header = |name| {
        let value = answer.headers().get(name).expect("the header");
        value.to_str().expect("text").to_owned()
    };
    let cookie = header(SET_COOKIE);
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    (pair, header(LOCATION.clone()))
}

/// Brings the fields to the callback as a browser with this cookie.
pub async fn bring(app: &TestApp, fields: &Value, cookie: Option<&str>) -> Answer {
    let nobody = app.owner.with_key(None);
    let mut request = nobody.request("GET", "/tenants/callback").query(fields);
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, cookie);
    }
    nobody.send(request).await
}

/// Walks a link to its end; where several MSPs share the installation, past their page.
pub async fn walk(link: &str) -> Visit {
    let mut browser = Browser::new();
    let page = browser.open(link).await;
    if page
        .buttons()
        .iter()
        .any(|button| button.contains("Continue"))
    {
        return browser.submit("Continue").await;
    }
    page
}

/// The events of the audit with this action, newest first.
pub async fn events(caller: &Caller, action: &str) -> Vec<Value> {
    caller.list(&format!("/audit-events?action={action}")).await
}

/// How many token requests the stand-in has received that this tells apart.
pub fn token_requests(app: &TestApp, part: &str) -> usize {
    let requests = app.microsoft.cloud().requests();
    let wanted = requests.iter().filter(|request| {
        let path = &request.path_and_query;
        path.contains("/oauth2/v2.0/token") && path.contains(part)
    });
    wanted.count()
}
