//! A stand-in for Autotask PSA (psa.md §B).

mod errors;
mod fields;
mod filter;
mod query;
mod rows;
#[cfg(test)]
mod tests;
mod tickets;
pub mod webhooks;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use self::{
    query::Promised,
    rows::{Country, Entity},
    webhooks::Webhook,
};
use super::{
    call::{Call, Reply},
    callouts::{callouts, last_part},
    desk::{Desk, Psa},
    handle::Fake,
    limits::{Limit, Thread, Threads},
    seed::{Ids, Seed},
    server,
    world::{Change, Company, Contact, Site, Ticket, World},
};

/// What the API user's security level lets it do.
pub const RIGHTS: [&str; 6] = [
    "companies",
    "contacts",
    "locations",
    "tickets",
    "ticketsWrite",
    "webhooks",
];

/// Requests of a whole database in an hour.
const LIMIT: Limit = Limit::told(10_000, Duration::from_secs(3600), 60);
/// Requests at the same time to one endpoint.
const THREADS: usize = 3;
/// Wrong secrets in a row that lock the user.
const MOST_FAILURES: usize = 10;

/// The running stand-in.
pub type FakeAutotask = Fake<Autotask>;

/// What stands behind it.
pub struct Autotask {
    desk: Desk,
    world: Mutex<World>,
    username: String,
    /// Secret and integration code.
    secrets: Mutex<(String, String)>,
    failures: AtomicUsize,
    rights: Mutex<BTreeSet<String>>,
    /// Origins of the zones: the first is where discovery starts and where the database lies at first.
    zones: [String; 2],
    moved: AtomicBool,
    threads: Threads,
    threads_allowed: AtomicUsize,
    /// Requests of other integrations of this database, within the hour.
    others: AtomicUsize,
    promised: Promised,
    webhooks: Mutex<Vec<Webhook>>,
}

impl FakeAutotask {
    /// Starts on free ports of 127.0.0.1: one for each of two zones.
    pub async fn start(seed: Seed) -> Self {
        let (listener, origin) = server::bind();
        let (second, second_origin) = server::bind();
        let (callouts, courier) = callouts();
        let desk = Desk::new(origin.clone(), callouts);
        desk.limiter.lock().expect("limiter").set(Some(LIMIT));
        let ids = Ids {
            company: 29_683_412,
            step: 28,
            contact: 30_684_411,
            site: 29_983_700,
        };
        let mut world = seed.build(ids, false);
        // The MSP itself.
        world.companies.insert(
            0,
            Company::new(0, "Northgate Managed IT", 1_704_067_200_000),
        );
        let inner = Autotask {
            desk,
            world: Mutex::new(world),
            username: "tenantry-api@northgate.example".to_owned(),
            secrets: Mutex::new((
                "canary-at.Secret~0123456789".to_owned(),
                "CANARYCODE0123456789ABCDEFG".to_owned(),
            )),
            failures: AtomicUsize::new(0),
            rights: Mutex::new(RIGHTS.iter().map(ToString::to_string).collect()),
            zones: [origin, second_origin],
            moved: AtomicBool::new(false),
            threads: Threads::default(),
            threads_allowed: AtomicUsize::new(THREADS),
            others: AtomicUsize::new(0),
            promised: Promised::default(),
            webhooks: Mutex::default(),
        };
        Self::run(Arc::new(inner), vec![listener, second], courier)
    }

    /// The webhooks that are set up.
    pub fn webhooks(&self) -> Vec<Webhook> {
        self.inner.webhooks.lock().expect("webhooks").clone()
    }

    /// Moves the database to the other zone: the old one knows the user no more.
    pub fn move_zone(&self) {
        self.inner.relocate();
    }

    /// Another number of requests at the same time to one endpoint.
    pub fn threads(&self, allowed: usize) {
        self.inner.threads_allowed.store(allowed, Ordering::Relaxed);
    }

    /// So many requests of other integrations count within the hour.
    pub fn others_used(&self, requests: usize) {
        self.inner.others.store(requests, Ordering::Relaxed);
    }

    /// How many wrong secrets came in a row; ten lock the user.
    pub fn failed_sign_ins(&self) -> usize {
        self.inner.failures.load(Ordering::Relaxed)
    }
}

impl Psa for Autotask {
    const KIND: &'static str = "autotask";
    const RIGHTS: &'static [&'static str] = &RIGHTS;

    fn desk(&self) -> &Desk {
        &self.desk
    }

    fn answer(&self, call: &Call) -> Reply {
        self.route(call)
    }

    fn enter(&self, call: &Call) -> Result<Option<Thread>, Reply> {
        let Some(endpoint) = call.segments.get(2).filter(|_| !is_exempt(call)) else {
            return Ok(None);
        };
        let allowed = self.threads_allowed.load(Ordering::Relaxed);
        match self.threads.enter(&endpoint.to_lowercase(), allowed) {
            Some(thread) => Ok(Some(thread)),
            None => Err(errors::threads(allowed)),
        }
    }

    fn counts(&self, call: &Call) -> bool {
        !is_exempt(call)
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
        let (secret, code) = self.secrets.lock().expect("secrets").clone();
        json!({"username": self.username, "secret": secret, "integrationCode": code})
    }

    fn secrets(&self) -> Vec<String> {
        let (secret, code) = self.secrets.lock().expect("secrets").clone();
        let mut secrets = vec![secret, code];
        for webhook in self.webhooks.lock().expect("webhooks").iter() {
            secrets.extend([webhook.secret.clone(), last_part(&webhook.url)]);
        }
        secrets
    }

    fn keeps_deleted(&self) -> bool {
        false
    }

    fn closed_status(_board: i64) -> i64 {
        5
    }

    fn announce(&self, change: &Change) {
        self.call_webhooks(change);
    }

    fn rotate_secrets(&self) {
        self.secrets.lock().expect("secrets").0.push('2');
    }

    fn relocate(&self) {
        self.moved.fetch_xor(true, Ordering::Relaxed);
    }
}

/// Discovery is neither counted nor limited.
fn is_exempt(call: &Call) -> bool {
    call.segments.iter().any(|segment| {
        segment.eq_ignore_ascii_case("zoneInformation")
            || segment.eq_ignore_ascii_case("versioninformation")
    })
}

impl Autotask {
    /// Where the database lies now.
    fn zone(&self) -> &str {
        &self.zones[usize::from(self.moved.load(Ordering::Relaxed))]
    }

    fn route(&self, call: &Call) -> Reply {
        let segments: Vec<&str> = call.segments.iter().map(String::as_str).collect();
        let Some((root, rest)) = segments.split_first() else {
            return errors::of_status(404);
        };
        if !root.eq_ignore_ascii_case("ATServicesRest") {
            return errors::of_status(404);
        }
        match rest {
            [version] if version.eq_ignore_ascii_case("versioninformation") => {
                Reply::json(200, &json!({"apiVersions": ["1.0"]}))
            }
            [version, zone]
                if is_version(version) && zone.eq_ignore_ascii_case("zoneInformation") =>
            {
                self.zone_information(call)
            }
            // The first segment is as the zone call wrote it.
            [version, path @ ..] if is_version(version) && *root == "ATServicesRest" => {
                match self.sign_in(call) {
                    Ok(()) => self.entity(call, path),
                    Err(refusal) => refusal,
                }
            }
            _ => errors::of_status(404),
        }
    }

    fn zone_information(&self, call: &Call) -> Reply {
        if call.parameter("user") != Some(self.username.as_str()) {
            return errors::invalid("Zone information could not be determined");
        }
        let number = if self.moved.load(Ordering::Relaxed) {
            17
        } else {
            16
        };
        Reply::json(
            200,
            &json!({
                "zoneName": "UK", "url": format!("{}/ATServicesRest/", self.zone()),
                "webUrl": format!("https://ww{number}.autotask.net/"), "ci": 512_304,
            }),
        )
    }

    fn sign_in(&self, call: &Call) -> Result<(), Reply> {
        let of_zone = self.zone().trim_start_matches("http://") == call.header("host");
        if !of_zone {
            return Err(Reply::empty(401));
        }
        if call.header("UserName") != self.username {
            let message = "The specified UserName does not exist or is not an API user.";
            return Err(errors::invalid(message));
        }
        let (secret, code) = self.secrets.lock().expect("secrets").clone();
        if self.failures.load(Ordering::Relaxed) >= MOST_FAILURES {
            return Err(Reply::empty(401));
        }
        if call.header("Secret") != secret {
            let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
            if failures == MOST_FAILURES {
                self.desk
                    .record_violation("so many wrong secrets that the API user was locked");
            }
            return Err(Reply::empty(401));
        }
        if call.header("ApiIntegrationCode") != code {
            return Err(errors::invalid("IntegrationCode is invalid."));
        }
        if call.method != "GET" && call.method != "DELETE" && !call.says_json() {
            return Err(Reply::empty(415));
        }
        self.failures.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn entity(&self, call: &Call, path: &[&str]) -> Reply {
        let get = call.method == "GET";
        match path {
            ["ThresholdInformation"] if get => self.threshold(),
            ["Companies", rest @ ..] => self.companies(call, rest),
            ["Contacts", rest @ ..] => self.readable::<Contact>(call, "Contacts", rest),
            ["CompanyLocations", rest @ ..] => {
                self.readable::<Site>(call, "CompanyLocations", rest)
            }
            ["Countries", rest @ ..] => self.readable::<Country>(call, "Countries", rest),
            ["Tickets"] if call.method == "POST" => self.create_ticket(call),
            ["Tickets"] if call.method == "PATCH" || call.method == "PUT" => {
                self.patch_ticket(call)
            }
            ["Tickets", id, "Notes"] if call.method == "POST" => self.create_note(call, id),
            ["Tickets", rest @ ..] => self.readable::<Ticket>(call, "Tickets", rest),
            ["TicketNotes", "entityInformation", "fields"] if get => Reply::json(
                200,
                &fields::of_names("TicketNote", &["id", "ticketID", "noteType", "publish"]),
            ),
            ["CompanyWebhookFields", "entityInformation", "fields"] if get => Reply::json(
                200,
                &fields::of_names("CompanyWebhookField", &["id", "webhookID", "fieldID"]),
            ),
            ["CompanyWebhooks", rest @ ..] => self.webhook_routes(call, rest),
            _ => errors::of_status(404),
        }
    }

    fn companies(&self, call: &Call, path: &[&str]) -> Reply {
        match path {
            ["entityInformation", "userDefinedFields"] if call.method == "GET" => {
                Reply::json(200, &fields::user_defined())
            }
            [id, "Locations"] if call.method == "GET" => {
                let world = self.world.lock().expect("world");
                let sites = world.sites.values();
                let sites = sites.filter(|site| site.company.to_string() == *id);
                let items: Vec<Value> = sites.map(Entity::write).collect();
                let details = json!({"count": items.len(), "requestCount": 500, "prevPageUrl": null, "nextPageUrl": null});
                Reply::json(200, &json!({"items": items, "pageDetails": details}))
            }
            [] if call.method != "GET" => {
                self.desk
                    .record_violation(format!("{} of a company", call.method));
                errors::forbidden("edit")
            }
            rest => self.readable::<Company>(call, "Companies", rest),
        }
    }

    fn readable<E: Entity>(&self, call: &Call, entity: &str, path: &[&str]) -> Reply {
        if !self.may(E::RIGHT) {
            return errors::forbidden("query");
        }
        let base = format!("{}/ATServicesRest/V1.0/{entity}", self.zone());
        let world = self.world.lock().expect("world");
        match (call.method.as_str(), path) {
            ("GET", ["entityInformation", "fields"]) => Reply::json(200, &fields::of::<E>()),
            ("POST" | "GET", ["query"]) => query::first::<E>(call, &world, &self.promised, &base),
            ("POST" | "GET", ["query", "next"]) => {
                query::next::<E>(call, &world, &self.promised, &base)
            }
            ("POST" | "GET", ["query", "count"]) => query::count::<E>(call, &world),
            ("GET", [id]) => query::get::<E>(id, &world),
            (_, [] | [_]) => Reply::json(
                405,
                &json!({"Message": format!("The requested resource does not support http method '{}'.", call.method)}),
            ),
            _ => errors::of_status(404),
        }
    }

    fn threshold(&self) -> Reply {
        let mut limiter = self.desk.limiter.lock().expect("limiter");
        let used = limiter.used(Instant::now()) + self.others.load(Ordering::Relaxed);
        Reply::json(
            200,
            &json!({
                "externalRequestThreshold": 10_000, "requestThresholdTimeframe": 60,
                "currentTimeframeRequestCount": used,
            }),
        )
    }
}

fn is_version(segment: &str) -> bool {
    segment.eq_ignore_ascii_case("v1.0")
}
