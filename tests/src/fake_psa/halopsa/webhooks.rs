//! Webhooks of HaloPSA: no signature, a Basic header at best (psa.md §C4).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{HaloPsa, errors, rows};
use crate::fake_psa::{
    call::{Call, Reply},
    callouts::Callout,
    desk::Psa as _,
    world::{Action, Change},
};

/// A webhook that was set up.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: Uuid,
    pub name: String,
    pub url: String,
    pub active: bool,
    /// 0 none, 1 Basic, 2 bearer.
    pub authentication: i64,
    pub user: String,
    pub password: String,
    pub events: Vec<Value>,
}

impl HaloPsa {
    pub(super) fn webhook_routes(&self, call: &Call, path: &[&str]) -> Reply {
        let mut all = self.webhooks.lock().expect("webhooks");
        match (call.method.as_str(), path) {
            ("GET", []) => Reply::json(200, &all.iter().map(write).collect()),
            ("GET", [id]) => match all.iter().find(|one| one.id.to_string() == *id) {
                Some(webhook) => Reply::json(200, &write(webhook)),
                None => Reply::empty(404),
            },
            ("DELETE", [id]) => match all.iter().position(|one| one.id.to_string() == *id) {
                Some(at) => Reply::json(200, &write(&all.remove(at))),
                None => Reply::empty(404),
            },
            ("POST", []) => {
                let Some(Value::Array(given)) = call.json() else {
                    return errors::body(
                        "Cannot deserialize the current JSON object into type 'List`1[Webhook]'.",
                    );
                };
                let mut last = Value::Null;
                for one in &given {
                    match take(&mut all, one) {
                        Ok(row) => last = row,
                        Err(refusal) => return refusal,
                    }
                }
                Reply::json(201, &last)
            }
            _ => Reply::empty(405),
        }
    }

    /// Calls all that are active. No public source says what a client's event holds: ids, as far as one
    /// can tell, in a template.
    pub(super) fn call_webhooks(&self, change: &Change) {
        let event = match change.action {
            Action::Added => "New Client Created",
            Action::Updated => "Client Updated",
            Action::Deleted => "Client Deleted",
        };
        let all = self.webhooks.lock().expect("webhooks");
        for webhook in all.iter().filter(|webhook| webhook.active) {
            let company = &change.company;
            let body = json!({
                "id": Uuid::new_v4(), "webhook_id": webhook.id, "event": event,
                "timestamp": rows::moment(company.updated),
                "client": {"id": company.id, "name": company.name},
            });
            let mut headers = vec![("Content-Type", "application/json".to_owned())];
            match webhook.authentication {
                1 => {
                    let pair = format!("{}:{}", webhook.user, webhook.password);
                    headers.push(("Authorization", format!("Basic {}", STANDARD.encode(pair))));
                }
                2 => headers.push(("Authorization", format!("Bearer {}", webhook.password))),
                _ => {}
            }
            self.desk().callouts.call(Callout {
                url: webhook.url.clone(),
                headers,
                body: body.to_string().into(),
                timeout: Duration::from_secs(10),
                retries: Vec::new(),
                retried: &[],
            });
        }
    }
}

/// Creates a webhook, or changes the one whose id is given.
fn take(all: &mut Vec<Webhook>, given: &Value) -> Result<Value, Reply> {
    let text = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
    let (name, url) = (text("name"), text("url"));
    if let Some(id) = given["id"].as_str() {
        let Some(webhook) = all.iter_mut().find(|one| one.id.to_string() == id) else {
            return Err(errors::exception("The webhook could not be found"));
        };
        for (value, target) in [
            (name, &mut webhook.name),
            (url, &mut webhook.url),
            (text("basic_username"), &mut webhook.user),
            (text("basic_password"), &mut webhook.password),
        ] {
            if !value.is_empty() {
                *target = value;
            }
        }
        webhook.active = given["active"].as_bool().unwrap_or(webhook.active);
        return Ok(write(webhook));
    }
    if name.is_empty() || url::Url::parse(&url).is_err() {
        return Err(errors::exception("Please enter a name and a valid URL"));
    }
    if all.iter().any(|known| known.url == url) {
        return Err(errors::exception("A webhook with this URL already exists"));
    }
    let webhook = Webhook {
        id: Uuid::new_v4(),
        name,
        url,
        active: given["active"].as_bool().unwrap_or(true),
        authentication: given["authentication_type"].as_i64().unwrap_or(0),
        user: text("basic_username"),
        password: text("basic_password"),
        events: given["events"].as_array().cloned().unwrap_or_default(),
    };
    let row = write(&webhook);
    all.push(webhook);
    Ok(row)
}

fn write(webhook: &Webhook) -> Value {
    json!({
        "id": webhook.id, "name": webhook.name, "type": 0, "url": webhook.url,
        "content_type": "application/json", "authentication_type": webhook.authentication, "method": 0,
        "basic_username": webhook.user, "active": webhook.active, "events": webhook.events,
        "last_status": 0,
    })
}
