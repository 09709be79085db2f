//! The calls of the API, as its own document lists them.

use serde_json::Value;

use crate::app::{BASE, Caller};

/// One call.
pub struct Call {
    pub method: String,
    /// As `Caller` takes it.
    pub path: String,
    pub parameters: Vec<Value>,
    /// The schema of its body.
    pub body: Option<Value>,
}

/// All calls, and the document they stand in.
pub async fn calls(caller: &Caller) -> (Vec<Call>, Value) {
    let document = caller.get("//openapi.json").await.expect(200).json();
    let mut calls = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let path = match path.strip_prefix(BASE) {
            Some(rest) => rest.to_owned(),
            None => format!("/{path}"),
        };
        for (method, call) in methods.as_object().expect("methods") {
            let body = call.pointer("/requestBody/content/application~1json/schema");
            calls.push(Call {
                method: method.to_uppercase(),
                path: path.clone(),
                parameters: call["parameters"].as_array().cloned().unwrap_or_default(),
                body: body.cloned(),
            });
        }
    }
    (calls, document)
}
