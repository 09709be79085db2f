//! Webhooks of Autotask on companies (psa.md §B4).

use std::{fmt::Write as _, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Autotask, errors, fields, rows};
use crate::fake_psa::{
    call::{Call, Reply},
    callouts::Callout,
    cell::written,
    desk::Psa as _,
    world::{Action, Change},
};

/// A webhook that was set up.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: i64,
    pub guid: Uuid,
    pub name: String,
    pub url: String,
    pub deactivation_url: String,
    pub secret: String,
    pub active: bool,
    /// Of creations, updates and deletions.
    pub subscribed: [bool; 3],
    pub fields: Vec<i64>,
    pub excluded: Vec<i64>,
    pub sequence: i64,
}

const FIELDS: [&str; 13] = [
    "id",
    "name",
    "isActive",
    "webhookUrl",
    "deactivationUrl",
    "secretKey",
    "isSubscribedToCreateEvents",
    "isSubscribedToUpdateEvents",
    "isSubscribedToDeleteEvents",
    "sendThresholdExceededNotification",
    "notificationEmailAddress",
    "ownerResourceID",
    "webhookGUID",
];

impl Autotask {
    pub(super) fn webhook_routes(&self, call: &Call, path: &[&str]) -> Reply {
        if !self.may("webhooks") {
            return errors::forbidden("query");
        }
        match (call.method.as_str(), path) {
            ("POST", []) => self.create_webhook(call),
            ("POST" | "GET", ["query"]) => self.query_webhooks(call),
            ("GET", [id]) => {
                let all = self.webhooks.lock().expect("webhooks");
                let found = all.iter().find(|one| one.id.to_string() == *id);
                Reply::json(200, &json!({"item": found.map(write)}))
            }
            ("DELETE", [id]) => {
                let mut all = self.webhooks.lock().expect("webhooks");
                let Some(at) = all.iter().position(|one| one.id.to_string() == *id) else {
                    return errors::no_record();
                };
                let gone = all.remove(at);
                Reply::json(200, &json!({"itemId": gone.id}))
            }
            ("PATCH", []) => {
                let body = call.json().unwrap_or_default();
                self.with_webhook(&body["id"].to_string(), |webhook| {
                    if let Some(active) = body["isActive"].as_bool() {
                        webhook.active = active;
                    }
                    Reply::json(200, &json!({"itemId": webhook.id}))
                })
            }
            ("POST", [id, "Fields"]) => {
                let field = call.json().unwrap_or_default()["fieldID"]
                    .as_i64()
                    .unwrap_or_default();
                if !fields::offers(fields::WEBHOOK_FIELDS, field) {
                    return errors::invalid("The value is not in the picklist of fieldID.");
                }
                self.with_webhook(id, |webhook| {
                    if webhook.fields.contains(&field) {
                        return errors::invalid("The field is already part of this webhook.");
                    }
                    webhook.fields.push(field);
                    Reply::json(200, &json!({"itemId": 300 + webhook.fields.len()}))
                })
            }
            ("POST", [id, "ExcludedResources"]) => {
                let resource = call.json().unwrap_or_default()["resourceID"].as_i64();
                self.with_webhook(id, |webhook| {
                    webhook.excluded.extend(resource);
                    Reply::json(200, &json!({"itemId": 400 + webhook.excluded.len()}))
                })
            }
            _ => errors::of_status(404),
        }
    }

    fn with_webhook(&self, id: &str, answer: impl FnOnce(&mut Webhook) -> Reply) -> Reply {
        let mut all = self.webhooks.lock().expect("webhooks");
        match all.iter_mut().find(|one| one.id.to_string() == id) {
            Some(webhook) => answer(webhook),
            None => errors::no_record(),
        }
    }

    fn create_webhook(&self, call: &Call) -> Reply {
        let Some(Value::Object(body)) = call.json() else {
            return errors::invalid("The request body is not valid.");
        };
        if let Some(name) = body.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            return errors::unknown_field(name, "CompanyWebhook");
        }
        let text = |name: &str| {
            body.get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let most = [
            ("name", 50),
            ("webhookUrl", 500),
            ("deactivationUrl", 500),
            ("secretKey", 64),
        ];
        for (name, most) in most {
            let given = text(name);
            if given.is_empty() {
                return errors::invalid(&format!("Missing Required Field: {name}."));
            }
            if given.chars().count() > most {
                let message = format!("The field {name} must be at most {most} characters.");
                return errors::invalid(&message);
            }
        }
        let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(false);
        let mut all = self.webhooks.lock().expect("webhooks");
        let (name, url) = (text("name"), text("webhookUrl"));
        if all
            .iter()
            .any(|known| known.name == name || known.url == url)
        {
            return errors::invalid("A webhook with this name or URL already exists.");
        }
        let id = all.iter().map(|known| known.id + 1).max().unwrap_or(41);
        all.push(Webhook {
            id,
            guid: Uuid::new_v4(),
            name,
            url,
            deactivation_url: text("deactivationUrl"),
            secret: text("secretKey"),
            active: flag("isActive"),
            subscribed: [
                flag("isSubscribedToCreateEvents"),
                flag("isSubscribedToUpdateEvents"),
                flag("isSubscribedToDeleteEvents"),
            ],
            fields: Vec::new(),
            excluded: Vec::new(),
            sequence: 16,
        });
        Reply::json(200, &json!({ "itemId": id }))
    }

    /// Filters over a handful of rows: by text and number, joined by "and".
    fn query_webhooks(&self, call: &Call) -> Reply {
        let body = match call.method.as_str() {
            "GET" => call
                .parameter("search")
                .and_then(|text| serde_json::from_str(text).ok()),
            _ => call.json(),
        };
        let filter = body.as_ref().and_then(|body: &Value| {
            body["filter"]
                .as_array()
                .or_else(|| body["Filter"].as_array())
                .cloned()
        });
        let Some(filter) = filter.filter(|filter| !filter.is_empty()) else {
            return errors::invalid("A filter is required. (Parameter 'filter')");
        };
        let all = self.webhooks.lock().expect("webhooks");
        let mut items = Vec::new();
        for webhook in all.iter() {
            let row = write(webhook);
            let mut passes = true;
            for test in &filter {
                match test_row(&row, test) {
                    Ok(holds) => passes &= holds,
                    Err(refusal) => return refusal,
                }
            }
            if passes {
                items.push(row);
            }
        }
        // Checked even where there is no row.
        for test in &filter {
            let field = test["field"].as_str().unwrap_or_default();
            if !FIELDS.contains(&field) {
                return errors::unknown_field(field, "CompanyWebhook");
            }
        }
        Reply::json(
            200,
            &json!({
                "pageDetails": {"count": items.len(), "requestCount": 500, "prevPageUrl": null, "nextPageUrl": null},
                "items": items,
            }),
        )
    }

    /// Calls those that asked for it.
    pub(super) fn call_webhooks(&self, change: &Change) {
        let mut all = self.webhooks.lock().expect("webhooks");
        let [created, updated, deleted] = [Action::Added, Action::Updated, Action::Deleted];
        for webhook in all.iter_mut().filter(|webhook| webhook.active) {
            let [on_create, on_update, on_delete] = webhook.subscribed;
            let wanted = (change.action == created && on_create)
                || (change.action == updated && on_update && !webhook.fields.is_empty())
                || (change.action == deleted && on_delete);
            if wanted {
                webhook.sequence += 1;
                self.desk().callouts.call(callout(webhook, change));
            }
        }
    }
}

fn test_row(row: &Value, test: &Value) -> Result<bool, Reply> {
    let field = test["field"].as_str().unwrap_or_default();
    let (found, value) = (&row[field], &test["value"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    Ok(match test["op"].as_str().unwrap_or_default() {
        "eq" => found == value,
        "noteq" => found != value,
        "gte" => found.as_i64() >= value.as_i64(),
        "gt" => found.as_i64() > value.as_i64(),
        "beginsWith" => text(found).starts_with(&text(value)),
        "endsWith" => text(found).ends_with(&text(value)),
        "contains" => text(found).contains(&text(value)),
        "exist" => !found.is_null(),
        other => {
            return Err(errors::invalid(&format!(
                "'{other}' is not a valid operator."
            )));
        }
    })
}

fn callout(webhook: &Webhook, change: &Change) -> Callout {
    let action = match change.action {
        Action::Added => "Create",
        Action::Updated => "Update",
        Action::Deleted => "Delete",
    };
    let company = &change.company;
    let mut body = json!({
        "Action": action, "Guid": webhook.guid, "EntityType": "Account", "Id": company.id,
        "EventTime": written(company.updated, "%Y-%m-%dT%H:%M:%SZ"), "SequenceNumber": webhook.sequence,
        "PersonID": 29_682_885,
    });
    if change.action != Action::Deleted {
        let company_type = rows::company_type(&company.relations).to_string();
        body["Fields"] = json!({"CompanyName": company.name, "CompanyType": company_type});
    }
    let body = escaped(&body.to_string());
    let signature = sign(&webhook.secret, body.as_bytes());
    Callout {
        url: webhook.url.clone(),
        headers: vec![
            ("Content-Type", "application/json; charset=utf-8".to_owned()),
            ("X-Hook-Signature", signature),
        ],
        body: body.into(),
        timeout: Duration::from_secs(10),
        retries: vec![Duration::from_secs(30); 4],
        retried: &[],
    }
}

/// `sha1=…` over a body.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    format!("sha1={}", STANDARD.encode(hmac::sign(&key, body)))
}

/// JSON in which other characters than plain ones are escaped, as Autotask writes and signs it.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.next_if_eq(&'"').is_some() => text.push_str("\\u0022"),
            '\\' => {
                text.push(character);
                text.extend(characters.next());
            }
            '&' | '<' | '>' | '\'' | '`' | '+' | '\u{80}'.. => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    write!(text, "\\u{unit:04x}").expect("a string grows");
                }
            }
            _ => text.push(character),
        }
    }
    text
}

fn write(webhook: &Webhook) -> Value {
    let [create, update, delete] = webhook.subscribed;
    json!({
        "id": webhook.id, "deactivationUrl": webhook.deactivation_url, "isActive": webhook.active,
        "isReady": true, "isSubscribedToCreateEvents": create, "isSubscribedToDeleteEvents": delete,
        "isSubscribedToUpdateEvents": update, "name": webhook.name, "notificationEmailAddress": null,
        "ownerResourceID": 30_691_780, "secretKey": webhook.secret,
        "sendThresholdExceededNotification": false, "webhookGUID": webhook.guid,
        "webhookUrl": webhook.url, "userDefinedFields": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_escaped_as_they_are_signed_and_say_the_same() {
        let value = json!({"a": "Bäckerei & <Söhne> \"+\" 'x` 🙂 \\ \n"});
        let text = escaped(&value.to_string());
        assert!(text.is_ascii());
        assert!(!text.contains(['&', '<', '>', '+', '\'', '`']));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
