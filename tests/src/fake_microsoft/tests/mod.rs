//! The stand-in against itself: what its servers answer must add up to what it says is true.

mod batch;
mod budgets;
mod delegated;
mod delta;
mod faults;
mod lists;
mod refusals;
mod reports;

use std::{collections::BTreeMap, sync::Arc};

use reqwest::{Client, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    FakeMicrosoft, INITIAL_APP_ROLES,
    directory::entity::Schema,
    login,
    seed::TenantSeed,
    state::{AccessToken, Person, Tenant},
};

const ALL_USER_FIELDS: &str = "id,displayName,userPrincipalName,mail,accountEnabled,userType,\
    createdDateTime,creationType,externalUserState,department,jobTitle,usageLocation,\
    onPremisesSyncEnabled,onPremisesImmutableId,lastPasswordChangeDateTime,assignedLicenses,\
    licenseAssignmentStates,proxyAddresses";
const ALL_GROUP_FIELDS: &str = "id,displayName,description,mail,mailEnabled,securityEnabled,groupTypes,\
    visibility,membershipRule,membershipRuleProcessingState,isAssignableToRole,\
    onPremisesSyncEnabled,resourceProvisioningOptions,createdDateTime,assignedLicenses";

/// A stand-in with one tenant and a client that holds a token for it.
struct Bench {
    fake: FakeMicrosoft,
    tenant: Arc<Tenant>,
    http: Client,
    token: String,
}

/// An answer as a client sees it.
struct Got {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Bench {
    /// With the permissions of the initial data sets.
    async fn new(seed: TenantSeed) -> Self {
        Self::with_roles(seed, &INITIAL_APP_ROLES).await
    }

    async fn with_roles(seed: TenantSeed, roles: &[&str]) -> Self {
        let fake = FakeMicrosoft::start().await;
        let tenant = fake.add_tenant(seed);
        let mut bench = Self {
            fake,
            tenant,
            http: client(),
            token: String::new(),
        };
        bench.token = bench.issue(roles, None);
        bench
    }

    /// A token with these permissions: app-only, or of a person.
    fn issue(&self, permissions: &[&str], person: Option<Person>) -> String {
        let names = permissions.iter().map(ToString::to_string).collect();
        let (roles, scopes) = match person {
            Some(_) => (Default::default(), names),
            None => (names, Default::default()),
        };
        let cloud = self.fake.cloud();
        let token = AccessToken {
            tenant: self.tenant.id,
            client_id: "11111111-2222-3333-4444-555555555555".to_owned(),
            audience: login::graph_resource(&cloud).to_owned(),
            roles,
            scopes,
            person,
            issued: cloud.next_moment(),
            signed_in: cloud.next_moment(),
            expires_at: cloud.now_unix() + 3600,
        };
        let text = Uuid::new_v4().to_string();
        cloud
            .access_tokens
            .lock()
            .unwrap()
            .insert(text.clone(), token);
        text
    }

    fn request(&self, target: &str) -> RequestBuilder {
        let url = if target.starts_with("http") {
            target.to_owned()
        } else {
            format!("{}/v1.0{target}", self.fake.graph_url())
        };
        self.http.get(url).bearer_auth(&self.token)
    }

    async fn get(&self, target: &str) -> Got {
        send(self.request(target)).await
    }

    async fn get_eventual(&self, target: &str) -> Got {
        send(self.request(target).header("ConsistencyLevel", "eventual")).await
    }

    async fn post(&self, target: &str, body: &Value) -> Got {
        let url = format!("{}/v1.0{target}", self.fake.graph_url());
        send(self.http.post(url).bearer_auth(&self.token).json(body)).await
    }

    /// All objects of a list, and the number of its pages.
    async fn all(&self, target: &str) -> (Vec<Value>, usize) {
        let (items, pages, last) = self.follow(target).await;
        assert!(last.get("@odata.deltaLink").is_none());
        (items, pages)
    }

    /// All items of a delta round, and the link to the next round.
    async fn round(&self, target: &str) -> (Vec<Value>, String) {
        let (items, _, last) = self.follow(target).await;
        (items, last["@odata.deltaLink"].as_str().unwrap().to_owned())
    }

    async fn follow(&self, target: &str) -> (Vec<Value>, usize, Value) {
        let mut items = Vec::new();
        let mut pages = 0;
        let mut next = Some(target.to_owned());
        let mut last = Value::Null;
        while let Some(link) = next {
            let got = self.get_eventual(&link).await;
            assert_eq!(got.status, 200, "{link}: {}", got.text);
            let mut page = got.json();
            items.extend(page["value"].as_array().unwrap().clone());
            next = page["@odata.nextLink"].as_str().map(str::to_owned);
            page["value"].take();
            last = page;
            pages += 1;
        }
        (items, pages, last)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the stand-in's own tests must not go through the product's client"
)]
fn client() -> Client {
    let none = reqwest::redirect::Policy::none();
    Client::builder().redirect(none).no_proxy().build().unwrap()
}

async fn send(request: RequestBuilder) -> Got {
    let response = request.send().await.unwrap();
    Got {
        status: response.status(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

/// The objects by id, with every documented property; what is absent becomes what the truth has.
fn by_id(schema: &Schema, items: &[Value]) -> BTreeMap<String, Value> {
    let empty = super::directory::entity::Entity::empty(schema).truth(schema);
    let whole = items.iter().map(|item| {
        let mut object: Map<String, Value> = empty.as_object().unwrap().clone();
        for (name, value) in item.as_object().unwrap() {
            if object.contains_key(name) {
                object.insert(name.clone(), value.clone());
            }
        }
        (
            item["id"].as_str().unwrap().to_owned(),
            Value::Object(object),
        )
    });
    whole.collect()
}

/// Compares without printing thousands of objects.
fn assert_same(truth: &BTreeMap<String, Value>, found: &BTreeMap<String, Value>) {
    assert_eq!(truth.len(), found.len());
    for (id, object) in truth {
        assert_eq!(Some(object), found.get(id));
    }
}

fn seed(users: usize) -> TenantSeed {
    TenantSeed::new("Contoso", "contoso.com").users(users)
}

fn status_fault(status: u16) -> super::faults::Fault {
    super::faults::Fault::Status {
        status,
        retry_after: Some("7".to_owned()),
        body: None,
    }
}

fn rule(path: &str, fault: super::faults::Fault) -> super::faults::FaultRule {
    super::faults::FaultRule::once("graph", path, fault)
}

fn batch_of(urls: &[String]) -> Value {
    let items = urls.iter().enumerate();
    let items: Vec<Value> = items
        .map(|(place, url)| json!({"id": format!("r{place}"), "method": "GET", "url": url}))
        .collect();
    json!({ "requests": items })
}
