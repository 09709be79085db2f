//! The login server's own tests, over HTTP.

mod consent;
mod delegated;
mod discovery;
mod forging;
mod pages;
mod refresh;
mod refusals;
mod sign_in;
mod tokens;

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Response;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::{
    browser::{Browser, Visit},
    fake_microsoft::{
        FakeMicrosoft,
        seed::TenantSeed,
        state::{Cloud, Decision, GLOBAL_ADMINISTRATOR, Person, Tenant},
    },
};

const APP: &str = "11110000-aaaa-4bbb-8ccc-000000000001";
const SECRET: &str = "s3cret~ +&value";
/// Nobody listens there: the browser stops and shows the address.
const CALLBACK: &str = "http://localhost:9/api/msp-portal/tenants/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const GRAPH_DEFAULT: &str = "https://graph.microsoft.com/.default";

/// Parameters that differ from the correct ones.
type Changes<'a> = &'a [(&'a str, &'a str)];

/// A stand-in with one app and one tenant.
struct World {
    fake: FakeMicrosoft,
    cloud: Arc<Cloud>,
    tenant: Arc<Tenant>,
    http: reqwest::Client,
}

impl World {
    #[expect(
        clippy::disallowed_methods,
        reason = "a client that looks at bare redirects"
    )]
    fn new(decision: Decision) -> Self {
        let fake = FakeMicrosoft::start_blocking();
        fake.register_app(APP, SECRET, CALLBACK);
        let tenant = fake.add_tenant(seed("Contoso", "contoso.example"));
        *tenant.decision.write().unwrap() = decision;
        *tenant.people.write().unwrap() = vec![administrator("admin@contoso.example")];
        let policy = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder()
            .redirect(policy)
            .no_proxy()
            .build()
            .unwrap();
        Self {
            cloud: fake.cloud(),
            fake,
            tenant,
            http,
        }
    }

    fn second_tenant(&self) -> Arc<Tenant> {
        let tenant = self.fake.add_tenant(seed("Fabrikam", "fabrikam.example"));
        *tenant.people.write().unwrap() = vec![administrator("admin@fabrikam.example")];
        *tenant.decision.write().unwrap() = Decision::Accept;
        tenant
    }

    fn url(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let base = format!("{}/{path}", self.cloud.login_origin);
        Url::parse_with_params(&base, fields).unwrap().into()
    }

    /// A correct authorization request with some parameters replaced; an empty value drops one.
    fn authorize(&self, segment: &str, changes: &[(&str, &str)]) -> String {
        let correct = [
            ("client_id", APP),
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("response_mode", "query"),
            ("scope", "openid profile User.Read"),
            ("state", "st-1"),
            ("nonce", "n-1"),
            ("prompt", "select_account"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        self.url(
            &format!("{segment}/oauth2/v2.0/authorize"),
            &changed(&correct, changes),
        )
    }

    /// A correct consent request at the v2 endpoint, changed likewise.
    fn consent(&self, segment: &str, changes: &[(&str, &str)]) -> String {
        let correct = [
            ("client_id", APP),
            ("redirect_uri", CALLBACK),
            ("scope", GRAPH_DEFAULT),
            ("state", "st-2"),
        ];
        self.url(
            &format!("{segment}/v2.0/adminconsent"),
            &changed(&correct, changes),
        )
    }

    fn tid(&self) -> String {
        self.tenant.id.to_string()
    }

    async fn get(&self, url: &str) -> Response {
        self.http.get(url).send().await.unwrap()
    }

    async fn json(&self, path: &str) -> (u16, Value) {
        let response = self
            .get(&format!("{}/{path}", self.cloud.login_origin))
            .await;
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Posts to the token endpoint.
    async fn token(&self, segment: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let url = self.url(&format!("{segment}/oauth2/v2.0/token"), &[]);
        let response = self
            .http
            .post(url.trim_end_matches('?'))
            .form(fields)
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// A correct redemption of a code, changed likewise.
    async fn redeem(&self, segment: &str, code: &str, changes: &[(&str, &str)]) -> (u16, Value) {
        let correct = [
            ("grant_type", "authorization_code"),
            ("client_id", APP),
            ("client_secret", SECRET),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.token(segment, &changed(&correct, changes)).await
    }

    /// A correct app-only request, changed likewise.
    async fn app_only(&self, segment: &str, changes: &[(&str, &str)]) -> (u16, Value) {
        let correct = [
            ("grant_type", "client_credentials"),
            ("client_id", APP),
            ("client_secret", SECRET),
            ("scope", GRAPH_DEFAULT),
        ];
        self.token(segment, &changed(&correct, changes)).await
    }

    /// A code for the tenant's decision.
    async fn code(&self, changes: &[(&str, &str)]) -> String {
        let visit = Browser::new()
            .open(&self.authorize(&self.tid(), changes))
            .await;
        visit
            .parameter("code")
            .unwrap_or_else(|| panic!("no code: {visit}"))
    }

    /// Where a consent request ends.
    async fn consent_answer(&self, changes: &[(&str, &str)]) -> Visit {
        Browser::new()
            .open(&self.consent(&self.tid(), changes))
            .await
    }
}

fn seed(name: &str, domain: &str) -> TenantSeed {
    TenantSeed::new(name, domain).users(0)
}

fn person(upn: &str, wids: Vec<Uuid>) -> Person {
    Person {
        oid: Uuid::new_v4(),
        upn: upn.to_owned(),
        name: upn.split('@').next().unwrap().to_owned(),
        wids,
        guest: false,
        personal: false,
        wids_in_token: true,
    }
}

fn administrator(upn: &str) -> Person {
    person(upn, vec![GLOBAL_ADMINISTRATOR])
}

fn changed<'a>(
    correct: &[(&'a str, &'a str)],
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let changes: HashMap<&str, &str> = changes.iter().copied().collect();
    let mut fields: Vec<(&str, &str)> = correct
        .iter()
        .map(|(name, value)| (*name, changes.get(name).copied().unwrap_or(value)))
        .collect();
    let known = |name: &str| correct.iter().any(|(field, _)| *field == name);
    fields.extend(
        changes
            .iter()
            .filter(|(name, _)| !known(name))
            .map(|(name, value)| (*name, *value)),
    );
    fields.retain(|(_, value)| !value.is_empty());
    fields
}

/// The claims of a token, unchecked.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Checks an error body of the token endpoint: all fields there, number and `error` as expected.
fn assert_refused(answer: &(u16, Value), status: u16, error: &str, aadsts: u32) {
    let (found, body) = answer;
    assert_eq!(
        (*found, body["error"].as_str()),
        (status, Some(error)),
        "{body}"
    );
    assert_eq!(body["error_codes"], serde_json::json!([aadsts]), "{body}");
    let text = body["error_description"].as_str().unwrap();
    assert!(text.starts_with(&format!("AADSTS{aadsts}: ")), "{text}");
    for part in ["Trace ID: ", "Correlation ID: ", "Timestamp: "] {
        assert!(text.contains(part), "{text}");
    }
    for id in ["trace_id", "correlation_id"] {
        assert!(
            Uuid::parse_str(body[id].as_str().unwrap()).is_ok(),
            "{body}"
        );
    }
    let time = body["timestamp"].as_str().unwrap();
    assert!(
        time.len() == 20 && time.ends_with('Z') && !time.contains('T'),
        "{time}"
    );
}
