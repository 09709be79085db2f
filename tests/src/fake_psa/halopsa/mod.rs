//! A stand-in for HaloPSA (psa.md §C).

mod errors;
mod lists;
mod rows;
#[cfg(test)]
mod tests;
mod tickets;
mod token;
pub mod webhooks;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use self::{lists::Wanted, token::Token, webhooks::Webhook};
use super::{
    call::{Call, Reply},
    callouts::{callouts, last_part},
    desk::{Desk, Psa},
    handle::Fake,
    limits::{Limit, Thread},
    seed::{Ids, Seed},
    server,
    world::{Change, Contact, World},
};

/// Scopes of the application, and what its agent may see (without a colon).
pub const RIGHTS: [&str; 7] = [
    "read:customers",
    "edit:tickets",
    "admin:webhooks",
    "clients",
    "azure",
    "tickets",
    "webhooks",
];

/// Requests of a hosted instance.
const LIMIT: Limit = Limit::untold(300, Duration::from_secs(300));

/// The running stand-in.
pub type FakeHaloPsa = Fake<HaloPsa>;

/// What stands behind it.
pub struct HaloPsa {
    desk: Desk,
    world: Mutex<World>,
    tenant: String,
    client_id: String,
    secret: Mutex<String>,
    /// Seconds that tokens live.
    lifetime: Mutex<i64>,
    tokens: Mutex<HashMap<String, Token>>,
    rights: Mutex<BTreeSet<String>>,
    webhooks: Mutex<Vec<Webhook>>,
}

impl FakeHaloPsa {
    /// Starts on a free port of 127.0.0.1, as a hosted instance.
    pub async fn start(seed: Seed) -> Self {
        let (listener, origin) = server::bind();
        let (callouts, courier) = callouts();
        let desk = Desk::new(origin, callouts);
        desk.limiter.lock().expect("limiter").set(Some(LIMIT));
        let ids = Ids {
            company: 12,
            step: 3,
            contact: 41,
            site: 18,
        };
        let mut world = seed.build(ids, false);
        add_general_users(&mut world);
        let inner = HaloPsa {
            desk,
            world: Mutex::new(world),
            tenant: "northgate".to_owned(),
            client_id: "7f6b2c1d-0a9e-4d3c-8b5a-1e2f3a4b5c6d".to_owned(),
            secret: Mutex::new("canary-halo.Secret~0123456789".to_owned()),
            lifetime: Mutex::new(3600),
            tokens: Mutex::default(),
            rights: Mutex::new(RIGHTS.iter().map(ToString::to_string).collect()),
            webhooks: Mutex::default(),
        };
        Self::run(Arc::new(inner), vec![listener], courier)
    }

    /// The webhooks that are set up.
    pub fn webhooks(&self) -> Vec<Webhook> {
        self.inner.webhooks.lock().expect("webhooks").clone()
    }

    /// Tokens that are issued from now on live so long.
    pub fn token_lifetime(&self, seconds: i64) {
        *self.inner.lifetime.lock().expect("lifetime") = seconds;
    }

    /// All tokens are worthless from now on.
    pub fn forget_tokens(&self) {
        self.inner.relocate();
    }
}

/// Every site has a user without a mail address.
fn add_general_users(world: &mut World) {
    let first = world
        .contacts
        .last_key_value()
        .map_or(41, |(id, _)| *id + 1);
    for (id, site) in (first..).zip(world.sites.values()) {
        let contact = Contact {
            id,
            company: site.company,
            first: "General".to_owned(),
            last: Some("User".to_owned()),
            mails: Vec::new(),
            phone: None,
            active: true,
            primary: false,
            service: true,
            updated: site.updated,
        };
        world.contacts.insert(id, contact);
    }
}

impl Psa for HaloPsa {
    const KIND: &'static str = "halopsa";
    const RIGHTS: &'static [&'static str] = &RIGHTS;

    fn desk(&self) -> &Desk {
        &self.desk
    }

    fn answer(&self, call: &Call) -> Reply {
        self.route(call)
    }

    fn enter(&self, _call: &Call) -> Result<Option<Thread>, Reply> {
        Ok(None)
    }

    fn counts(&self, call: &Call) -> bool {
        let is_api = call
            .segments
            .first()
            .is_some_and(|first| first.eq_ignore_ascii_case("api"));
        is_api
            && call
                .segments
                .get(1)
                .is_some_and(|second| !second.eq_ignore_ascii_case("authinfo"))
    }

    fn error(&self, status: u16) -> Reply {
        errors::of_status(status)
    }

    fn world(&self) -> &Mutex<World> {
        &self.world
    }

    fn rights(&self) -> &Mutex<BTreeSet<String>> {
        &self.rights
    }

    fn credentials(&self) -> Value {
        json!({
            "clientId": self.client_id, "clientSecret": *self.secret.lock().expect("secret"),
            "tenant": self.tenant,
        })
    }

    fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![self.secret.lock().expect("secret").clone()];
        secrets.extend(self.tokens.lock().expect("tokens").keys().cloned());
        for webhook in self.webhooks.lock().expect("webhooks").iter() {
            let basic = STANDARD.encode(format!("{}:{}", webhook.user, webhook.password));
            secrets.extend([webhook.password.clone(), basic, last_part(&webhook.url)]);
        }
        secrets
    }

    fn keeps_deleted(&self) -> bool {
        false
    }

    fn closed_status(_board: i64) -> i64 {
        tickets::CLOSED
    }

    fn announce(&self, change: &Change) {
        self.call_webhooks(change);
    }

    fn rotate_secrets(&self) {
        self.secret.lock().expect("secret").push('2');
        self.tokens.lock().expect("tokens").clear();
    }

    fn relocate(&self) {
        self.tokens.lock().expect("tokens").clear();
    }
}

impl HaloPsa {
    fn route(&self, call: &Call) -> Reply {
        // Routes are written in any case.
        let lower: Vec<String> = call
            .segments
            .iter()
            .map(|segment| segment.to_lowercase())
            .collect();
        let path: Vec<&str> = lower.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["api", "authinfo"] => Reply::json(
                200,
                &json!({"auth_url": format!("{}/auth", self.desk.origin), "tenant_id": self.tenant}),
            ),
            ["auth", "token"] => self.issue_token(call),
            ["api", rest @ ..] => self.api(call, rest),
            _ => Reply::html(404, "Not Found"),
        }
    }

    fn api(&self, call: &Call, path: &[&str]) -> Reply {
        let write = call.method != "GET";
        let (scope, right) = match path {
            ["client" | "site" | "users", ..] if write => ("edit:customers", "clients"),
            ["client" | "site" | "users" | "customertype", ..] => ("read:customers", "clients"),
            ["azureadconnection" | "areaazuretenant", ..] => ("read:customers", "azure"),
            ["tickets" | "actions", ..] if write => ("edit:tickets", "tickets"),
            [
                "tickets" | "status" | "tickettype" | "outcome" | "priority" | "sla" | "team",
                ..,
            ] => ("read:tickets", "tickets"),
            ["webhook", ..] => ("admin:webhooks", "webhooks"),
            _ => {
                // What is not there is told to those with a token alone.
                return match self.admit(call, "read:customers", "clients") {
                    Err(refusal) if refusal.status == 401 => refusal,
                    _ => Reply::empty(404),
                };
            }
        };
        if let Err(refusal) = self.admit(call, scope, right) {
            return refusal;
        }
        if write && call.method != "DELETE" && !call.says_json() {
            return Reply::empty(415);
        }
        match (call.method.as_str(), path) {
            ("GET", ["tickets"]) => self.list_tickets(call),
            ("GET", ["tickets", id]) => self.get_ticket(call, id),
            ("POST", ["tickets"]) => self.post_tickets(call),
            ("POST", ["actions"]) => self.post_actions(call),
            (_, ["webhook", rest @ ..]) => self.webhook_routes(call, rest),
            (_, ["client" | "site" | "users", ..]) if write => {
                self.desk
                    .record_violation(format!("{} of a customer", call.method));
                Reply::empty(403)
            }
            ("GET", [name]) if tickets::table(name).is_some() => {
                Reply::json(200, &tickets::table(name).unwrap_or_default())
            }
            ("GET", rest) => self.customers(call, rest),
            _ => Reply::empty(405),
        }
    }

    fn customers(&self, call: &Call, path: &[&str]) -> Reply {
        let wanted = match Wanted::read(call) {
            Ok(wanted) => wanted,
            Err(refusal) => return refusal,
        };
        let world = self.world.lock().expect("world");
        let number = |id: &str| id.parse::<i64>().ok();
        match path {
            ["client"] => {
                let clients = world.companies.values();
                let clients = clients
                    .filter(|company| wanted.takes_client(company))
                    .collect();
                let name = |company: &super::world::Company| company.shown().to_lowercase();
                lists::list(call, "clients", clients, name, &world, rows::client_row)
            }
            ["client", id] => match number(id).and_then(|id| world.companies.get(&id)) {
                None => Reply::empty(404),
                Some(client) if call.is_on("includedetails") => {
                    Reply::json(200, &rows::client_detail(client, &world))
                }
                Some(client) => Reply::json(200, &rows::client_row(client, &world)),
            },
            ["users"] => {
                let users = world.contacts.values().filter(|one| {
                    wanted.takes(one.company, one.active, one.updated, &[&one.first])
                });
                let name = |one: &Contact| one.name().to_lowercase();
                lists::list(call, "users", users.collect(), name, &world, rows::user)
            }
            ["site"] => {
                let sites = world.sites.values();
                let sites = sites
                    .filter(|one| wanted.takes(one.company, one.active, one.updated, &[&one.name]));
                let name = |one: &super::world::Site| one.name.to_lowercase();
                lists::list(call, "sites", sites.collect(), name, &world, rows::site)
            }
            ["site", id] => match number(id).and_then(|id| world.sites.get(&id)) {
                None => Reply::empty(404),
                Some(site) => Reply::json(200, &rows::site_detail(site, &world)),
            },
            ["customertype"] => Reply::json(
                200,
                &json!([{"id": 1, "name": "Customer"}, {"id": 2, "name": "Prospect"},
                    {"id": 3, "name": "Supplier"}, {"id": 4, "name": "Partner"}]),
            ),
            ["azureadconnection"] => {
                let is_csp = call.parameter("type") == Some("2");
                let all = [json!({"id": 3, "name": "Northgate CSP", "type": 2})];
                Reply::json(200, &json!(if is_csp { &all[..] } else { &[] }))
            }
            ["azureadconnection", "3"] => {
                let with = call.is_on("includedetails") && call.is_on("includetenants");
                let mappings = with.then(|| mappings(&world, None));
                Reply::json(
                    200,
                    &json!({"id": 3, "name": "Northgate CSP", "type": 2, "mappings_client": mappings}),
                )
            }
            ["areaazuretenant"] => {
                let client = call.parameter("client_id").and_then(number);
                Reply::json(200, &json!(mappings(&world, client)))
            }
            _ => Reply::empty(404),
        }
    }
}

/// Halo's own map of tenants.
fn mappings(world: &World, client: Option<i64>) -> Vec<Value> {
    let companies = world.companies.values();
    let mapped = companies.filter(|company| client.is_none_or(|client| client == company.id));
    let rows = mapped.filter_map(|company| {
        let tenant = company.mapped.as_ref()?;
        Some(json!({
            "id": company.id + 1000, "details_id": 3, "client_id": company.id, "client_name": company.name,
            "azure_tenant_id": tenant.id, "azure_tenant_name": company.name,
            "azure_tenant_domain": tenant.domain, "details_name": "Northgate CSP",
            "licence_import_type": 0, "relationship_type": 0,
        }))
    });
    rows.collect()
}
