//! The examples of a folder, and an instance that they are served by.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use serde_json::{Value, json};
use tenantry_psa::{
    ExternalId, Secret,
    credentials::HaloPsaCredentials,
    halopsa::{HaloPsa, open},
};

use crate::scripted::{Expected, Scripted, get, post};

pub struct Example {
    pub file: String,
    pub method: String,
    /// Without host and query.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub request: Value,
    pub status: u16,
    pub headers: Value,
    pub body: Vec<u8>,
}

impl Example {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }

    pub fn is_event(&self) -> bool {
        self.request.get("direction").is_some()
    }

    /// The answer to this request.
    pub fn answers(&self, expected: Expected) -> Expected {
        let kind = if self.file.ends_with(".json") {
            "application/json"
        } else {
            "text/plain"
        };
        expected.answer_raw(self.status, kind, self.body.clone())
    }
}

pub fn read_examples(folder: &Path) -> Vec<Example> {
    let index = fs::read(folder.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let base = url::Url::parse("https://northgate.halopsa.com/api/").unwrap();
    let examples: Vec<Example> = index["examples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let request = &entry["request"];
            let url = base.join(request["path"].as_str().unwrap()).unwrap();
            let file = entry["file"].as_str().unwrap().to_owned();
            Example {
                body: fs::read(folder.join(&file)).unwrap(),
                method: request["method"].as_str().unwrap().to_owned(),
                path: url.path().to_owned(),
                query: url.query_pairs().into_owned().collect(),
                request: request.clone(),
                status: u16::try_from(entry["status"].as_u64().unwrap()).unwrap(),
                headers: entry["headers"].clone(),
                file,
            }
        })
        .collect();
    let listed: BTreeSet<String> = examples
        .iter()
        .map(|example| example.file.clone())
        .collect();
    let there: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "index.json")
        .collect();
    assert_eq!(listed, there, "each file stands in the index");
    examples
}

pub fn id_of(value: &Value) -> Option<ExternalId> {
    let number = value.as_f64()?;
    (number.fract() == 0.0).then(|| ExternalId(format!("{number:.0}")))
}

pub fn text_of(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A record that comes bare or in an array.
pub fn one(value: Value) -> Value {
    value.get(0).cloned().unwrap_or(value)
}

/// An instance that signs us in.
pub fn signed_in() -> (Arc<Scripted>, HaloPsa) {
    let (psa, halo) = opened();
    psa.expect(get("/api/authinfo").answer(404, json!("")).always());
    psa.expect(
        post("/auth/token")
            .answer(200, json!({"access_token": "example", "expires_in": 3600}))
            .always(),
    );
    (psa, halo)
}

pub fn opened() -> (Arc<Scripted>, HaloPsa) {
    let psa = Scripted::at("2026-06-10T12:00:00Z");
    let credentials = HaloPsaCredentials {
        client_id: "application".to_owned(),
        client_secret: Secret::new("example".to_owned()),
        tenant: None,
        auth_url: None,
    };
    let halo = open("https://northgate.halopsa.com", credentials, psa.clone()).unwrap();
    (psa, halo)
}
