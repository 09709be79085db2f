//! Resource units: what requests cost and what tenants may use.

use std::time::Instant;

use uuid::Uuid;

use super::{answer::Answer, call::Call};
use crate::fake_microsoft::state::Cloud;

/// What a tenant may use, as a token bucket that fills evenly.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Units in ten seconds.
    units: f64,
    available: f64,
    at: Instant,
    /// Requests that were refused.
    refused: u64,
    /// Units that were granted.
    spent: u64,
}

impl Cloud {
    /// Limits what apps may read from a tenant's directory to so many resource units in ten seconds.
    pub fn limit_units(&self, tenant: Uuid, units: u32) {
        let budget = Budget {
            units: f64::from(units),
            available: f64::from(units),
            at: Instant::now(),
            refused: 0,
            spent: 0,
        };
        self.budgets.lock().expect("budgets").insert(tenant, budget);
    }

    /// Requests refused and units granted since the limit was set.
    pub fn units_used(&self, tenant: Uuid) -> (u64, u64) {
        let budgets = self.budgets.lock().expect("budgets");
        let budget = budgets.get(&tenant);
        budget.map_or((0, 0), |budget| (budget.refused, budget.spent))
    }
}

impl Budget {
    /// Takes units; how full the limit is, or the seconds to wait.
    fn take(&mut self, cost: u32) -> Result<f64, u64> {
        let now = Instant::now();
        let rate = self.units / 10.0;
        let grown = self.available + now.duration_since(self.at).as_secs_f64() * rate;
        self.available = grown.min(self.units);
        self.at = now;
        let cost_units = f64::from(cost);
        if self.available >= cost_units {
            self.available -= cost_units;
            self.spent += u64::from(cost);
            return Ok(1.0 - self.available / self.units);
        }
        self.refused += 1;
        // Requests made while throttled still count a little.
        self.available = (self.available - 1.0).max(-self.units);
        let wait = std::time::Duration::from_secs_f64((cost_units - self.available) / rate);
        Err(wait.as_secs() + 1)
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

    /// Takes the units from the tenant's budget: 429 when it is used up, and headers for the answer.
    pub fn charge(&self, cost: u32) -> Result<Vec<(String, String)>, Answer> {
        let mut headers = vec![("x-ms-resource-unit".to_owned(), cost.to_string())];
        let mut budgets = self.cloud.budgets.lock().expect("budgets");
        let Some(budget) = budgets.get_mut(&self.tenant.id) else {
            return Ok(headers);
        };
        match budget.take(cost) {
            Ok(used) if used >= 0.8 => {
                let name = "x-ms-throttle-limit-percentage".to_owned();
                headers.push((name, format!("{used:.1}")));
                Ok(headers)
            }
            Ok(_) => Ok(headers),
            Err(seconds) => Err(self.throttled(seconds)),
        }
    }

    fn throttled(&self, seconds: u64) -> Answer {
        let (app, tenant) = (&self.token.client_id, self.tenant.id);
        let scope = format!("Tenant_Application/ReadWrite/{app}/{tenant}");
        self.ids
            .error(429, "TooManyRequests", "Please retry again later.")
            .header("Retry-After", seconds.to_string())
            .header("x-ms-throttle-scope", scope)
            .header("x-ms-throttle-information", "ResourceUnitLimitExceeded")
    }
}
