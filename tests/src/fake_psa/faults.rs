//! Scripted faults: which requests go wrong, how, and how often.

use std::{sync::Mutex, time::Duration};

use serde_json::Value;

use super::{call::Reply, desk::Psa};

/// How an answer goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An error status instead of the answer. Without a body: one as this PSA writes it.
    Status {
        status: u16,
        retry_after: Option<String>,
        body: Option<String>,
    },
    /// This status with a page of HTML.
    Html(u16),
    /// 200 with this JSON.
    Json(Value),
    /// The request is never answered.
    Hang,
    /// The connection ends before a byte is answered; the request is not carried out.
    Reset,
    /// The request is carried out, then the connection ends without an answer.
    DropAfterEffect,
    /// The connection ends after this many bytes of the body, short of its Content-Length.
    Truncate(usize),
    /// The body trickles.
    Slow { millis_per_kb: u64 },
    /// The answer comes this much later.
    Delay(Duration),
    /// The answer to the last request for the same list comes again.
    RepeatPage,
    /// A page of no rows.
    EmptyPage,
    /// The page ends after so many rows although there are more.
    ShortPage(usize),
    /// These members of each row are null.
    Nulls(Vec<String>),
    /// These members of each row are missing.
    Without(Vec<String>),
    /// Something happens at the PSA just before the request is answered.
    Before(Effect),
}

/// What happens at a PSA in the middle of somebody's reading.
#[derive(Clone, Debug)]
pub enum Effect {
    /// These companies are gone without a trace.
    Vanish(Vec<i64>),
    /// These become inactive.
    Deactivate(Vec<i64>),
    /// A company with this name is new.
    Add(String),
    /// This right is taken away.
    RemoveRight(String),
    /// The keys or secrets are replaced.
    RotateSecrets,
    /// The database moves: to another zone (Autotask), to another codebase (ConnectWise). HaloPSA forgets
    /// its tokens.
    Move,
}

/// Which requests a fault hits.
#[derive(Clone, Debug)]
pub struct FaultRule {
    /// The method; none: any.
    pub method: Option<&'static str>,
    /// Part of the path and query, percent-decoded.
    pub path_contains: String,
    /// So many matching requests pass first.
    pub skip: u32,
    /// So many are hit then; `u32::MAX` is all.
    pub times: u32,
    pub fault: Fault,
}

impl FaultRule {
    /// Hits the first matching request.
    pub fn once(path: &str, fault: Fault) -> Self {
        Self {
            method: None,
            path_contains: path.to_owned(),
            skip: 0,
            times: 1,
            fault,
        }
    }

    /// Hits all of them.
    pub fn always(path: &str, fault: Fault) -> Self {
        Self::once(path, fault).times(u32::MAX)
    }

    /// After so many matching requests.
    pub fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// So many times.
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Only requests of this method.
    pub fn method(mut self, method: &'static str) -> Self {
        self.method = Some(method);
        self
    }
}

/// A 429 with `Retry-After` in seconds.
pub fn throttled(seconds: u32) -> Fault {
    Fault::Status {
        status: 429,
        retry_after: Some(seconds.to_string()),
        body: None,
    }
}

/// A status with the body that the PSA has for it.
pub const fn status(status: u16) -> Fault {
    Fault::Status {
        status,
        retry_after: None,
        body: None,
    }
}

/// The rules in force.
#[derive(Default)]
pub struct Faults {
    rules: Mutex<Vec<Scripted>>,
}

struct Scripted {
    rule: FaultRule,
    fired: bool,
}

impl Faults {
    /// Adds a rule. Of several that match, the first with something left is played.
    pub fn script(&self, rule: FaultRule) {
        let fired = false;
        let mut rules = self.rules.lock().expect("fault rules");
        rules.push(Scripted { rule, fired });
    }

    /// Drops all rules.
    pub fn clear(&self) {
        self.rules.lock().expect("fault rules").clear();
    }

    /// Whether any rule repeats pages, so that answers must be kept.
    pub fn repeats(&self) -> bool {
        let rules = self.rules.lock().expect("fault rules");
        rules.iter().any(|scripted| {
            scripted.rule.times > 0 && matches!(scripted.rule.fault, Fault::RepeatPage)
        })
    }

    /// The fault to play for this request, counted as played.
    pub fn take(&self, method: &str, decoded: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().expect("fault rules");
        for scripted in rules.iter_mut() {
            let rule = &mut scripted.rule;
            let matches = rule.times > 0
                && rule.method.is_none_or(|wanted| wanted == method)
                && decoded.contains(rule.path_contains.as_str());
            if !matches {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if rule.times != u32::MAX {
                rule.times -= 1;
            }
            scripted.fired = true;
            return Some(rule.fault.clone());
        }
        None
    }

    /// Rules with something left to play (those for all requests: that never played).
    /// A test that leaves one did not test what it meant to.
    pub fn unread(&self) -> Vec<FaultRule> {
        let rules = self.rules.lock().expect("fault rules");
        let left = rules
            .iter()
            .filter(|scripted| match scripted.rule.times {
                u32::MAX => !scripted.fired,
                times => times > 0,
            })
            .map(|scripted| scripted.rule.clone());
        left.collect()
    }
}

/// The answer of a status fault.
pub fn status_reply(
    psa: &impl Psa,
    status: u16,
    retry_after: Option<String>,
    body: Option<String>,
) -> Reply {
    let mut reply = match body {
        None => psa.error(status),
        Some(body) if body.starts_with(['{', '[']) => Reply {
            body: body.into_bytes(),
            ..Reply::json(status, &Value::Null)
        },
        Some(body) => Reply::text(status, &body),
    };
    if let Some(wait) = retry_after {
        reply.headers.retain(|(name, _)| *name != "Retry-After");
        reply = reply.with("Retry-After", wait);
    }
    reply
}

/// The answer with each of its rows changed. Rows are the entries of the list it holds, or the record.
pub fn change_rows(reply: Reply, change: impl Fn(&mut serde_json::Map<String, Value>)) -> Reply {
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else {
        return reply;
    };
    for row in rows_of(&mut body) {
        if let Value::Object(row) = row {
            change(row);
        }
    }
    reply.with_json(&body)
}

/// The answer without its rows.
pub fn without_rows(reply: Reply) -> Reply {
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else {
        return reply;
    };
    match &mut body {
        Value::Array(rows) => rows.clear(),
        Value::Object(members) => {
            for (_, member) in members.iter_mut() {
                if let Value::Array(rows) = member {
                    rows.clear();
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    reply.with_json(&body)
}

fn rows_of(body: &mut Value) -> Vec<&mut Value> {
    const LISTS: [&str; 5] = ["items", "clients", "users", "sites", "tickets"];
    if let Value::Object(members) = &*body {
        let named = LISTS.into_iter().find(|name| members.contains_key(*name));
        let name = named.or_else(|| members.contains_key("item").then_some("item"));
        return match name.and_then(|name| body.get_mut(name)) {
            Some(Value::Array(rows)) => rows.iter_mut().collect(),
            Some(record) => vec![record],
            None => Vec::new(),
        };
    }
    match body {
        Value::Array(rows) => rows.iter_mut().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_skip_then_play_their_number_of_times_and_report_what_is_left() {
        let faults = Faults::default();
        faults.script(
            FaultRule::once("companies?", Fault::Hang)
                .skip(1)
                .times(2)
                .method("GET"),
        );
        assert!(faults.take("GET", "/company/companies?page=1").is_none());
        assert!(faults.take("POST", "/company/companies?page=1").is_none());
        assert!(faults.take("GET", "/company/companies?page=1").is_some());
        assert_eq!(faults.unread().len(), 1);
        assert!(faults.take("GET", "/company/companies?page=1").is_some());
        assert!(faults.take("GET", "/company/companies?page=1").is_none());
        assert!(faults.unread().is_empty());
    }

    #[test]
    fn rows_are_changed_in_whatever_list_they_stand() {
        let change = |body: Value| {
            let reply = change_rows(Reply::json(200, &body), |row| {
                row.remove("name");
            });
            serde_json::from_slice::<Value>(&reply.body).unwrap()
        };
        assert_eq!(change(json!([{"id": 1, "name": "a"}])), json!([{"id": 1}]));
        let halo = json!({"record_count": 1, "clients": [{"id": 1, "name": "a"}]});
        assert_eq!(change(halo)["clients"], json!([{"id": 1}]));
        assert_eq!(
            change(json!({"item": {"id": 1, "name": "a"}})),
            json!({"item": {"id": 1}})
        );
    }
}
