//! The public API, as a technician's script would call it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tenantry_tests::app::BASE;

/// The API with a key.
pub struct Api {
    pub http: reqwest::Client,
    pub base: String,
    pub key: String,
}

impl Api {
    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<(StatusCode, Value)> {
        let response = request.bearer_auth(&self.key).send().await?;
        Ok((response.status(), response.json().await?))
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let (status, body) = self.answer(request).await?;
        ensure!(status.is_success(), "{status}: {body:#}");
        Ok(body)
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        self.call(self.http.get(format!("{}{BASE}{path}", self.base)))
            .await
    }

    /// All items of a list.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let mut query = vec![("limit", "1000".to_owned())];
            query.extend(cursor.map(|cursor| ("cursor", cursor)));
            let request = self.http.get(format!("{}{BASE}{path}", self.base));
            let page = self.call(request.query(&query)).await?;
            items.extend(page["items"].as_array().into_iter().flatten().cloned());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }

    fn posting(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}{BASE}{path}", self.base))
            .json(body)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(self.posting(path, body)).await
    }

    /// The same where a refusal is an answer like another.
    pub async fn try_post(&self, path: &str, body: &Value) -> Result<(StatusCode, Value)> {
        self.answer(self.posting(path, body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.http.patch(format!("{}{BASE}{path}", self.base));
        self.call(request.json(body)).await
    }

    pub async fn create_customer(&self, name: &str) -> Result<String> {
        text(
            &self.post("/customers", &json!({"name": name})).await?,
            "id",
        )
    }

    pub async fn connect(&self, customer: &str, tenant: &str) -> Result<Value> {
        self.connect_by(Some(customer), tenant, &json!({})).await
    }

    /// The same in another way than by admin consent: `way` says which, with what it needs. Without a
    /// customer it is for the one that certainly is the tenant's.
    pub async fn connect_by(
        &self,
        customer: Option<&str>,
        tenant: &str,
        way: &Value,
    ) -> Result<Value> {
        let mut body = json!({"tenant": tenant});
        if let Some(customer) = customer {
            body["customerId"] = json!(customer);
        }
        for (name, value) in way.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.post("/tenants/connect", &body).await
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the ban guards the product's outgoing calls; this is its caller"
)]
pub fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()?)
}

/// A member that must be a text.
pub fn text(value: &Value, name: &str) -> Result<String> {
    let found = value[name]
        .as_str()
        .with_context(|| format!("no {name} in {value}"))?;
    Ok(found.to_owned())
}
