//! Callbacks of ConnectWise: set up, listed, taken away, and called (psa.md §A4).

use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    ConnectWise,
    errors::{self, Flaw},
    listing,
    rows::{self, moment},
};
use crate::fake_psa::{
    call::{Call, Reply},
    callouts::Callout,
    desk::Psa as _,
    world::{Action, Change},
};

/// Levels of callbacks about companies.
const LEVELS: [&str; 6] = [
    "owner",
    "status",
    "type",
    "territory",
    "company",
    "integratorTag",
];

/// A callback that was set up.
#[derive(Clone, Debug)]
pub struct Callback {
    pub id: i64,
    pub description: String,
    pub url: String,
    pub object_id: i64,
    pub kind: String,
    pub level: String,
    pub inactive: bool,
    pub made: i64,
}

impl ConnectWise {
    pub(super) fn callbacks(&self, call: &Call, path: &[&str]) -> Reply {
        if !self.may("callbacks") {
            return errors::forbidden();
        }
        match (call.method.as_str(), path) {
            ("GET", []) => {
                let rows = self.callbacks.lock().expect("callbacks");
                let rows = rows.iter().map(write).collect();
                self.with_writer(|writer| {
                    listing::list_rows(call, "system/callbacks", writer, rows)
                })
            }
            ("POST", []) => self.create_callback(call),
            ("GET", [id]) => {
                let all = self.callbacks.lock().expect("callbacks");
                let found = all.iter().find(|callback| callback.id.to_string() == *id);
                match found {
                    Some(callback) => Reply::json(200, &write(callback)),
                    None => errors::no_record("CallbackEntry", id),
                }
            }
            ("DELETE", [id]) => {
                let mut all = self.callbacks.lock().expect("callbacks");
                let before = all.len();
                all.retain(|callback| callback.id.to_string() != *id);
                if all.len() == before {
                    errors::no_record("CallbackEntry", id)
                } else {
                    Reply::empty(204)
                }
            }
            (_, [] | [_]) => errors::wrong_method(),
            _ => errors::no_route(),
        }
    }

    fn create_callback(&self, call: &Call) -> Reply {
        let body = call.json().unwrap_or_default();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (url, kind, level) = (text("url"), text("type"), text("level"));
        let mut flaws = Vec::new();
        for (name, value) in [("url", &url), ("type", &kind), ("level", &level)] {
            if value.is_empty() {
                flaws.push(Flaw::required(name));
            }
        }
        let object_id = body["objectId"].as_i64();
        if object_id.is_none() {
            flaws.push(Flaw::required("objectId"));
        }
        if !url.is_empty() && url::Url::parse(&url).is_err() {
            flaws.push(Flaw::invalid("url", "The url is not valid.".to_owned()));
        }
        let known = kind.is_empty()
            || ["company", "contact", "ticket", "agreement"].contains(&kind.as_str());
        if !known {
            flaws.push(Flaw::invalid(
                "type",
                format!("The type {kind} is not valid."),
            ));
        }
        if kind == "company" && !level.is_empty() && !LEVELS.contains(&level.as_str()) {
            flaws.push(Flaw::invalid(
                "level",
                format!("The level {level} is not valid."),
            ));
        }
        let mut all = self.callbacks.lock().expect("callbacks");
        let twice = all
            .iter()
            .any(|known| (&known.url, &known.kind, &known.level) == (&url, &kind, &level));
        if flaws.is_empty() && twice {
            flaws.push(Flaw {
                code: "ObjectExists",
                message: "A matching callback entry already exists".to_owned(),
                field: "objectId",
            });
        }
        if !flaws.is_empty() {
            return errors::invalid_object("callbackEntry", &flaws);
        }
        let callback = Callback {
            id: all.iter().map(|known| known.id + 1).max().unwrap_or(26_559),
            description: text("description"),
            url,
            object_id: object_id.unwrap_or_default(),
            kind,
            level,
            inactive: body["inactiveFlag"] == json!(true),
            made: self.desk.now(),
        };
        let reply = Reply::json(201, &write(&callback));
        all.push(callback);
        reply
    }

    /// The key that signs: `/{codebase}system/callbackkey/index.rails?companyName=…&id=…`.
    pub(super) fn callback_key(&self, call: &Call) -> Reply {
        let of_company = call.parameter("companyName") == Some(self.company_id.as_str());
        let of_key = call.parameter("id") == Some(self.key_id().to_string().as_str());
        if !(of_company && of_key) {
            return Reply::html(404, "Not Found");
        }
        Reply::json(
            200,
            &json!({"signing_key": *self.signing_key.lock().expect("key")}),
        )
    }

    fn key_id(&self) -> Uuid {
        let key = self.signing_key.lock().expect("key");
        crate::fake_microsoft::seed::random_of(&key).uuid()
    }

    /// Calls those that asked for it.
    pub(super) fn call_back(&self, change: &Change) {
        let all = self.callbacks.lock().expect("callbacks").clone();
        for callback in all
            .iter()
            .filter(|callback| !callback.inactive && wants(callback, change))
        {
            self.desk.callouts.call(self.callout(callback, change));
        }
    }

    fn callout(&self, callback: &Callback, change: &Change) -> Callout {
        let action = match change.action {
            Action::Added => "added",
            Action::Updated => "updated",
            Action::Deleted => "deleted",
        };
        let company = &change.company;
        let (status, name) = rows::status(company.state);
        // Sparse, and null for one that is gone.
        let entity = (change.action != Action::Deleted).then(|| {
            json!({"id": company.id, "name": company.name, "status": {"id": status, "name": name},
                "deletedFlag": false, "_info": {"lastUpdated": moment(company.updated), "updatedBy": "ryan.cole"}})
            .to_string()
        });
        let host = self.desk.origin.trim_start_matches("http://");
        let key_url = format!(
            "{}/{}/system/callbackkey/index.rails?companyName={}&id={}",
            self.desk.origin,
            self.codebase(),
            self.company_id,
            self.key_id()
        );
        let body = json!({
            "Action": action, "CallbackObjectRecId": callback.id, "CompanyId": self.company_id,
            "Entity": entity, "FromUrl": host, "ID": company.id, "MemberId": "ryan.cole",
            "MessageId": Uuid::new_v4(), "Metadata": {"key_url": key_url},
            "PartnerId": "61ddc2817bcddc0001c74208", "ProductInstanceId": "639c96cab2eb560001dd1324",
            "Type": "company",
        })
        .to_string();
        let signature = sign(&self.signing_key.lock().expect("key"), body.as_bytes());
        Callout {
            // The id is appended to whatever the address ends with.
            url: format!("{}{}&action={action}", callback.url, company.id),
            headers: vec![
                ("Content-Type", "application/json".to_owned()),
                ("x-content-signature", signature),
            ],
            body: body.into(),
            timeout: Duration::from_secs(5),
            retries: vec![Duration::from_secs(2), Duration::from_secs(4)],
            retried: &[404, 409, 419, 429],
        }
    }
}

/// The signature over a body: the key is hashed first.
pub fn sign(signing_key: &str, body: &[u8]) -> String {
    let hashed = digest::digest(&digest::SHA256, signing_key.as_bytes());
    let key = hmac::Key::new(hmac::HMAC_SHA256, hashed.as_ref());
    STANDARD.encode(hmac::sign(&key, body))
}

fn wants(callback: &Callback, change: &Change) -> bool {
    let company = &change.company;
    callback.kind == "company"
        && match callback.level.as_str() {
            "owner" | "territory" => true,
            "company" => callback.object_id == company.id,
            "status" => callback.object_id == rows::status(company.state).0,
            "type" => company
                .relations
                .iter()
                .any(|one| callback.object_id == rows::relation(*one).0),
            _ => false,
        }
}

fn write(callback: &Callback) -> Value {
    json!({
        "id": callback.id, "description": callback.description, "url": callback.url,
        "objectId": callback.object_id, "type": callback.kind, "level": callback.level, "memberId": 243,
        "payloadVersion": "3.0.0", "inactiveFlag": callback.inactive, "isSoapCallbackFlag": false,
        "isSelfSuppressedFlag": true, "connectWiseID": "1bdefdcc-3860-f111-aa6d-d25dfe3c7792",
        "_info": {"lastUpdated": moment(callback.made), "updatedBy": "Tenantry"},
    })
}
