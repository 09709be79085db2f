//! Resource units: what requests cost, and what apps may use of a tenant and of all tenants together
//! (<https://learn.microsoft.com/graph/throttling-limits>).

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{answer::Answer, call::Call};
use crate::fake_microsoft::state::Cloud;

/// The span that a tenant's limit is for.
const TENANT_SPAN: Duration = Duration::from_secs(10);
/// The highest share of a limit that is told: requests made while throttled count up to here.
const HIGHEST_SHARE: f64 = 1.8;
/// The share above which it is told.
const TOLD_ABOVE: f64 = 0.8;

/// The limits in force, and what has been used of them.
#[derive(Default, Debug)]
pub struct Budgets {
    tenants: HashMap<Uuid, Limit>,
    apps: HashMap<String, Limit>,
    buckets: HashMap<Holder, Bucket>,
}

/// Who has a bucket of its own.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Holder {
    /// An app in a tenant.
    TenantApplication(Uuid, String),
    /// An app in all tenants together.
    Application(String),
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    units: u32,
    span: Duration,
}

/// A token bucket that fills evenly.
#[derive(Debug)]
struct Bucket {
    limit: Limit,
    available: f64,
    at: Instant,
    /// What was asked for within the last span, refused or not.
    recent: VecDeque<(Instant, u32)>,
    used: Use,
}

/// What was made of a limit since it was set.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Use {
    /// Requests that were refused with 429.
    pub refused: u64,
    /// Units that were granted.
    pub granted: u64,
    /// The most units that were asked for within one span of the limit, refused ones too. More than
    /// the limit: the caller did not keep to it.
    pub most_in_span: u64,
}

impl Cloud {
    /// Limits what each app may read from a tenant's directory to so many resource units in ten seconds.
    pub fn limit_units(&self, tenant: Uuid, units: u32) {
        let span = TENANT_SPAN;
        let mut budgets = self.budgets.lock().expect("budgets");
        budgets.tenants.insert(tenant, Limit { units, span });
        let of_tenant =
            |holder: &Holder| matches!(holder, Holder::TenantApplication(id, _) if *id == tenant);
        budgets.buckets.retain(|holder, _| !of_tenant(holder));
    }

    /// Limits what an app may read from the directories of all tenants together to so many resource
    /// units in this span.
    pub fn limit_units_of_app(&self, client_id: &str, units: u32, span: Duration) {
        let mut budgets = self.budgets.lock().expect("budgets");
        let client_id = client_id.to_owned();
        budgets
            .apps
            .insert(client_id.clone(), Limit { units, span });
        budgets.buckets.remove(&Holder::Application(client_id));
    }

    /// What apps made of the limit of a tenant. The most in a span is that of the greediest app.
    pub fn use_of_tenant(&self, tenant: Uuid) -> Use {
        let budgets = self.budgets.lock().expect("budgets");
        let mut sum = Use::default();
        for (holder, bucket) in &budgets.buckets {
            if matches!(holder, Holder::TenantApplication(id, _) if *id == tenant) {
                sum.refused += bucket.used.refused;
                sum.granted += bucket.used.granted;
                sum.most_in_span = sum.most_in_span.max(bucket.used.most_in_span);
            }
        }
        sum
    }

    /// What an app made of its limit over all tenants.
    pub fn use_of_app(&self, client_id: &str) -> Use {
        let budgets = self.budgets.lock().expect("budgets");
        let bucket = budgets
            .buckets
            .get(&Holder::Application(client_id.to_owned()));
        bucket.map(|bucket| bucket.used).unwrap_or_default()
    }

    /// Requests refused and units granted since the limit of a tenant was set.
    pub fn units_used(&self, tenant: Uuid) -> (u64, u64) {
        let used = self.use_of_tenant(tenant);
        (used.refused, used.granted)
    }
}

impl Budgets {
    /// The bucket of a holder, where there is a limit.
    fn bucket(&mut self, holder: Holder) -> Option<&mut Bucket> {
        let limit = match &holder {
            Holder::TenantApplication(tenant, _) => self.tenants.get(tenant),
            Holder::Application(client_id) => self.apps.get(client_id),
        };
        let limit = *limit?;
        Some(self.buckets.entry(holder).or_insert_with(|| Bucket {
            limit,
            available: f64::from(limit.units),
            at: Instant::now(),
            recent: VecDeque::new(),
            used: Use::default(),
        }))
    }
}

impl Bucket {
    /// Fills up to now and notes that so many units are asked for. The seconds to wait where they are
    /// not there.
    fn ask(&mut self, cost: u32) -> Result<(), u64> {
        let now = Instant::now();
        let grown = now.duration_since(self.at).as_secs_f64() * self.rate();
        self.available = (self.available + grown).min(f64::from(self.limit.units));
        self.at = now;
        self.recent.push_back((now, cost));
        while self
            .recent
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) >= self.limit.span)
        {
            self.recent.pop_front();
        }
        let recent: u64 = self.recent.iter().map(|(_, cost)| u64::from(*cost)).sum();
        self.used.most_in_span = self.used.most_in_span.max(recent);
        let missing = f64::from(cost) - self.available;
        if missing <= 0.0 {
            return Ok(());
        }
        self.used.refused += 1;
        // Requests made while throttled still count a little.
        let lowest = f64::from(self.limit.units) * (1.0 - HIGHEST_SHARE);
        self.available = (self.available - 1.0).max(lowest);
        let missing = f64::from(cost) - self.available;
        Err(Duration::from_secs_f64(missing / self.rate()).as_secs() + 1)
    }

    fn take(&mut self, cost: u32) {
        self.available -= f64::from(cost);
        self.used.granted += u64::from(cost);
    }

    /// How full the limit is: 1.0 is the limit.
    fn share(&self) -> f64 {
        1.0 - self.available / f64::from(self.limit.units)
    }

    /// Units in a second.
    fn rate(&self) -> f64 {
        f64::from(self.limit.units) / self.limit.span.as_secs_f64()
    }
}

impl Call<'_> {
    /// What this request costs; none for services that count otherwise than the directory.
    pub fn cost(&self, segments: &[&str]) -> Option<u32> {
        let base = match segments {
            ["users", _, "mailboxSettings", ..] => return None,
            ["users", ..] | ["me", _, ..] => 2,
            ["groups", _, "members"] | ["subscribedSkus"] => 3,
            ["directoryObjects", ..] if self.option("$select").is_some() => return Some(2),
            ["directoryObjects", ..] => return Some(5),
            ["groups" | "organization" | "directory" | "me", ..] => 1,
            _ => return None,
        };
        let small = self.option("$top").and_then(|top| top.parse::<u32>().ok());
        let mut cost: i32 = base;
        cost -= i32::from(self.option("$select").is_some());
        cost += i32::from(self.option("$expand").is_some());
        cost -= i32::from(small.is_some_and(|top| top < 20));
        Some(cost.max(1).unsigned_abs())
    }

    /// Takes the units from the budgets of the app, in this tenant and in all: 429 when one is used up,
    /// and headers for the answer.
    pub fn charge(&self, cost: u32) -> Result<Vec<(String, String)>, Answer> {
        let client_id = &self.token.client_id;
        let holders = [
            Holder::TenantApplication(self.tenant.id, client_id.clone()),
            Holder::Application(client_id.clone()),
        ];
        let mut budgets = self.cloud.budgets.lock().expect("budgets");
        for holder in &holders {
            if let Some(bucket) = budgets.bucket(holder.clone())
                && let Err(seconds) = bucket.ask(cost)
            {
                return Err(self.throttled(holder, seconds, bucket.share()));
            }
        }
        let mut highest = 0.0_f64;
        for holder in holders {
            if let Some(bucket) = budgets.bucket(holder) {
                bucket.take(cost);
                highest = highest.max(bucket.share());
            }
        }
        let mut headers = vec![("x-ms-resource-unit".to_owned(), cost.to_string())];
        headers.extend(percentage(highest));
        Ok(headers)
    }

    fn throttled(&self, holder: &Holder, seconds: u64, share: f64) -> Answer {
        let kind = match holder {
            Holder::TenantApplication(..) => "Tenant_Application",
            Holder::Application(_) => "Application",
        };
        let (app, tenant) = (&self.token.client_id, self.tenant.id);
        let mut answer = self
            .ids
            .error(429, "TooManyRequests", "Please retry again later.")
            .header("Retry-After", seconds.to_string())
            .header(
                "x-ms-throttle-scope",
                format!("{kind}/ReadWrite/{app}/{tenant}"),
            )
            .header("x-ms-throttle-information", "ResourceUnitLimitExceeded");
        answer.headers.extend(percentage(share));
        answer
    }
}

/// The header that tells how full a limit is, where it is told.
fn percentage(share: f64) -> Option<(String, String)> {
    let name = "x-ms-throttle-limit-percentage".to_owned();
    (share > TOLD_ABOVE).then(|| (name, format!("{:.1}", share.min(HIGHEST_SHARE))))
}
