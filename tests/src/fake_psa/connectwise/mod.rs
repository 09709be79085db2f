//! A stand-in for ConnectWise PSA (psa.md §A).

pub mod callbacks;
mod catalog;
mod conditions;
mod errors;
mod listing;
mod rows;
#[cfg(test)]
mod tests;
mod tickets;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use self::{
    callbacks::Callback,
    rows::{Entity as _, Writer},
};
use super::{
    call::{Call, Reply},
    callouts::{callouts, last_part},
    desk::{Desk, Psa},
    handle::Fake,
    limits::{Limit, Thread},
    seed::{Ids, Seed},
    server,
    world::{Change, Company, Contact, World},
};

/// Rights of the API member's role.
pub const RIGHTS: [&str; 6] = [
    "companies",
    "contacts",
    "tables",
    "tickets",
    "closeTickets",
    "callbacks",
];

/// More than this many requests a minute "will be limited".
const LIMIT: Limit = Limit::told(1000, Duration::from_secs(60), 30);

/// Longest query that the web server in front lets through.
const MOST_QUERY: usize = 2000;

/// The running stand-in.
pub type FakeConnectWise = Fake<ConnectWise>;

/// What stands behind it.
pub struct ConnectWise {
    desk: Desk,
    world: Mutex<World>,
    company_id: String,
    client_id: String,
    keys: Mutex<(String, String)>,
    signing_key: Mutex<String>,
    codebase: Mutex<String>,
    rights: Mutex<BTreeSet<String>>,
    callbacks: Mutex<Vec<Callback>>,
}

impl FakeConnectWise {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start(seed: Seed) -> Self {
        let (listener, origin) = server::bind();
        let (callouts, courier) = callouts();
        let desk = Desk::new(origin, callouts);
        desk.limiter.lock().expect("limiter").set(Some(LIMIT));
        let ids = Ids {
            company: 250,
            step: 3,
            contact: 811,
            site: 310,
        };
        let inner = ConnectWise {
            desk,
            world: Mutex::new(seed.build(ids, true)),
            company_id: "northgate".to_owned(),
            client_id: "0c7f1f8e-54a1-4f5b-8a6d-5d9d3f5e0a11".to_owned(),
            keys: Mutex::new((
                "kPUB0123456789ab".to_owned(),
                "canary-kPRIV.0123456789".to_owned(),
            )),
            signing_key: Mutex::new("Zk3pQ1-example-signing-key".to_owned()),
            codebase: Mutex::new("v2025_1".to_owned()),
            rights: Mutex::new(RIGHTS.iter().map(ToString::to_string).collect()),
            callbacks: Mutex::default(),
        };
        Self::run(Arc::new(inner), vec![listener], courier)
    }

    /// The callbacks that are set up.
    pub fn callbacks(&self) -> Vec<Callback> {
        self.inner.callbacks.lock().expect("callbacks").clone()
    }

    /// An upgrade: from now on the next codebase, and the old one is gone.
    pub fn change_codebase(&self) {
        self.inner.relocate();
    }

    /// From now on callbacks are signed with another key.
    pub fn change_signing_key(&self, key: &str) {
        key.clone_into(&mut self.inner.signing_key.lock().expect("key"));
    }
}

impl Psa for ConnectWise {
    const KIND: &'static str = "connectwise";
    const RIGHTS: &'static [&'static str] = &RIGHTS;

    fn desk(&self) -> &Desk {
        &self.desk
    }

    fn answer(&self, call: &Call) -> Reply {
        self.route(call)
            .with("api-current-version", "2025.16")
            .with("x-server-name", "API-EU-07")
    }

    fn enter(&self, _call: &Call) -> Result<Option<Thread>, Reply> {
        Ok(None)
    }

    fn counts(&self, call: &Call) -> bool {
        call.segments.iter().any(|segment| segment == "apis")
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
        let (public, private) = self.keys.lock().expect("keys").clone();
        json!({
            "companyId": self.company_id, "publicKey": public, "privateKey": private,
            "clientId": self.client_id,
        })
    }

    fn secrets(&self) -> Vec<String> {
        let (public, private) = self.keys.lock().expect("keys").clone();
        let basic = STANDARD.encode(format!("{}+{public}:{private}", self.company_id));
        let mut secrets = vec![public, private, basic];
        secrets.push(self.signing_key.lock().expect("key").clone());
        let callbacks = self.callbacks.lock().expect("callbacks");
        secrets.extend(callbacks.iter().map(|callback| last_part(&callback.url)));
        secrets
    }

    fn keeps_deleted(&self) -> bool {
        true
    }

    fn closed_status(board: i64) -> i64 {
        let statuses = catalog::statuses_of(board).unwrap_or_default();
        let mut closed = statuses
            .iter()
            .filter(|(_, _, closed, _, inactive)| *closed && !inactive);
        closed.next().map_or(0, |(id, ..)| *id)
    }

    fn announce(&self, change: &Change) {
        self.call_back(change);
    }

    fn rotate_secrets(&self) {
        let mut keys = self.keys.lock().expect("keys");
        keys.0.push('2');
        keys.1.push('2');
    }

    fn relocate(&self) {
        let mut codebase = self.codebase.lock().expect("codebase");
        let number: u32 = codebase.trim_start_matches("v2025_").parse().unwrap_or(1);
        *codebase = format!("v2025_{}", number + 1);
    }
}

impl ConnectWise {
    /// The codebase with its slash, as companyinfo says it.
    fn codebase(&self) -> String {
        format!("{}/", self.codebase.lock().expect("codebase"))
    }

    fn with_writer<T>(&self, answer: impl FnOnce(&Writer<'_>) -> T) -> T {
        let base = format!("{}/{}/apis/3.0", self.desk.origin, self.codebase());
        let world = self.world.lock().expect("world");
        answer(&Writer {
            world: &world,
            base,
        })
    }

    fn route(&self, call: &Call) -> Reply {
        if call.raw_query.len() > MOST_QUERY {
            return Reply::html(404, "Request filtering: the query string is too long");
        }
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        if let ["login", "companyinfo", company] = segments.as_slice() {
            return self.company_info(company);
        }
        let Some((codebase, rest)) = segments.split_first() else {
            return Reply::html(404, "Not Found");
        };
        // The router works with any codebase; a versioned one must be the present one.
        let known =
            *codebase == "v4_6_release" || *codebase == self.codebase().trim_end_matches('/');
        let path = match rest {
            _ if !known => return Reply::html(404, "Cannot route the request"),
            ["system", "callbackkey", "index.rails"] => None,
            ["apis", "3.0", path @ ..] => Some(path),
            _ => return Reply::html(404, "Not Found"),
        };
        if let Err(refusal) = self.sign_in(call) {
            return refusal;
        }
        match path {
            Some(path) => self.module(call, path),
            None => self.callback_key(call),
        }
    }

    fn company_info(&self, company: &str) -> Reply {
        // An unknown one, or one in other case, is `null`, and still a success.
        if company != self.company_id {
            return Reply::json(200, &Value::Null);
        }
        let codebase = self.codebase();
        Reply::json(
            200,
            &json!({
                "CompanyName": "Northgate Managed IT", "Codebase": codebase, "VersionCode": "v2025.1",
                "VersionNumber": "v4.6.98231", "CompanyID": self.company_id, "IsCloud": "True",
            }),
        )
    }

    fn sign_in(&self, call: &Call) -> Result<(), Reply> {
        let client = call.header("clientId");
        if client.is_empty() {
            let message = "The clientId header is missing.";
            return Err(errors::plain(400, "InvalidClientId", message));
        }
        let Some((user, private)) = call.basic() else {
            return Err(errors::plain(401, "ConnectWiseApi", "UserNotAuthenticated"));
        };
        let Some((company, public)) = user.split_once('+') else {
            return Err(errors::plain(401, "ConnectWiseApi", "UserNotAuthenticated"));
        };
        if company != self.company_id {
            return Err(Reply::html(404, "Not Found"));
        }
        let keys = self.keys.lock().expect("keys");
        if (public, private.as_str()) != (keys.0.as_str(), keys.1.as_str()) {
            return Err(errors::of_status(401));
        }
        if client != self.client_id {
            let message = "The clientId is not allowed in this environment.";
            return Err(errors::plain(403, "Security", message));
        }
        Ok(())
    }

    fn module(&self, call: &Call, path: &[&str]) -> Reply {
        match path {
            ["system", "info"] => only_get(call, || {
                Reply::json(
                    200,
                    &json!({"version": "v2025.1.98231", "isCloud": true, "serverTimeZone": "GMT Standard Time",
                        "licenseBits": [], "cloudRegion": "EU", "maxWorkFlowRecordsAllowed": 0}),
                )
            }),
            ["system", "callbacks", rest @ ..] => self.callbacks(call, rest),
            ["company", "companies", rest @ ..] => self.companies(call, rest),
            ["company", "contacts", rest @ ..] => self.contacts(call, rest),
            ["service", "tickets", rest @ ..] => self.tickets(call, rest),
            ["service", rest @ ..] => self.service_tables(call, rest),
            _ => errors::no_route(),
        }
    }

    fn companies(&self, call: &Call, path: &[&str]) -> Reply {
        let table = matches!(path, ["statuses" | "types"]);
        if !self.may(if table { "tables" } else { "companies" }) {
            return errors::forbidden();
        }
        let rows = |rows: Vec<Value>, path: &str| {
            only_get(call, || {
                self.with_writer(|writer| listing::list_rows(call, path, writer, rows))
            })
        };
        match (call.method.as_str(), path) {
            ("GET", []) | ("POST", ["search"]) => {
                self.with_writer(|writer| listing::list::<Company>(call, writer))
            }
            ("GET", ["count"]) => self.with_writer(|writer| listing::count::<Company>(call, writer)),
            (_, ["statuses"]) => rows(catalog::company_statuses(), "company/companies/statuses"),
            (_, ["types"]) => rows(catalog::company_types(), "company/companies/types"),
            ("GET", [id]) => self.with_company(id, |company, writer| {
                Reply::json(200, &company.write(writer))
            }),
            ("GET", [id, "sites"]) => self.with_company(id, |company, writer| {
                // One server refuses this field in `fields`, though it writes it.
                if call.parameter("fields").is_some_and(|fields| fields.contains("addressLine2")) {
                    return errors::plain(400, "InvalidParameter", "addressLine2 is not valid.");
                }
                let sites = writer.world.sites.values();
                let sites = sites.filter(|site| site.company == company.id);
                let sites = sites.map(|site| rows::write_site(site, writer)).collect();
                let path = format!("company/companies/{id}/sites");
                listing::list_rows(call, &path, writer, sites)
            }),
            ("GET", [id, "typeAssociations"]) => self.with_company(id, |company, writer| {
                let types = company.relations.iter().map(|one| {
                    let (type_id, name) = rows::relation(*one);
                    json!({"id": company.id * 10 + type_id, "type": {"id": type_id, "name": name, "_info": {}},
                        "company": {"id": company.id, "name": company.name, "_info": {}}, "_info": {}})
                });
                let path = format!("company/companies/{id}/typeAssociations");
                listing::list_rows(call, &path, writer, types.collect())
            }),
            ("PUT" | "PATCH" | "DELETE", [_]) => {
                self.desk.record_violation(format!("{} of a company", call.method));
                errors::forbidden()
            }
            (_, [] | ["count" | "search"] | [_] | [_, "sites" | "typeAssociations"]) => {
                errors::wrong_method()
            }
            _ => errors::no_route(),
        }
    }

    fn with_company(&self, id: &str, answer: impl FnOnce(&Company, &Writer<'_>) -> Reply) -> Reply {
        self.with_writer(|writer| {
            let found = id
                .parse()
                .ok()
                .and_then(|id: i64| writer.world.companies.get(&id));
            match found {
                Some(company) => answer(company, writer),
                None => errors::no_record(Company::NAME, id),
            }
        })
    }

    fn contacts(&self, call: &Call, path: &[&str]) -> Reply {
        if !self.may("contacts") {
            return errors::forbidden();
        }
        let one = |id: &str, answer: &dyn Fn(&Contact, &Writer<'_>) -> Reply| {
            self.with_writer(|writer| {
                let found = id
                    .parse()
                    .ok()
                    .and_then(|id: i64| writer.world.contacts.get(&id));
                match found {
                    Some(contact) => answer(contact, writer),
                    None => errors::no_record(Contact::NAME, id),
                }
            })
        };
        match (call.method.as_str(), path) {
            ("GET", []) | ("POST", ["search"]) => {
                self.with_writer(|writer| listing::list::<Contact>(call, writer))
            }
            ("GET", ["count"]) => {
                self.with_writer(|writer| listing::count::<Contact>(call, writer))
            }
            ("GET", [id]) => one(id, &|contact, writer| {
                Reply::json(200, &contact.write(writer))
            }),
            ("GET", [id, "communications"]) => one(id, &|contact, _| {
                Reply::json(200, &contact.write_communications())
            }),
            (_, [] | [_] | [_, "communications"]) => errors::wrong_method(),
            _ => errors::no_route(),
        }
    }

    fn service_tables(&self, call: &Call, path: &[&str]) -> Reply {
        if !self.may("tables") {
            return errors::forbidden();
        }
        let whole = format!("service/{}", path.join("/"));
        let rows = |rows: Vec<Value>| {
            only_get(call, || {
                self.with_writer(|writer| listing::list_rows(call, &whole, writer, rows))
            })
        };
        match path {
            ["boards"] => rows(catalog::boards()),
            ["priorities"] => rows(catalog::priorities()),
            ["boards", id, table @ ("statuses" | "types")] => {
                let board: i64 = id.parse().unwrap_or_default();
                match catalog::statuses_of(board) {
                    None => errors::no_record("Board", id),
                    Some(statuses) if *table == "statuses" => {
                        rows(catalog::board_statuses(board, statuses))
                    }
                    Some(_) => rows(catalog::board_types(board)),
                }
            }
            _ => errors::no_route(),
        }
    }
}

fn only_get(call: &Call, answer: impl FnOnce() -> Reply) -> Reply {
    if call.method == "GET" {
        answer()
    } else {
        errors::wrong_method()
    }
}
