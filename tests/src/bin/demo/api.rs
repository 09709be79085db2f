//! The public API, as a technician's script would call it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tenantry_tests::app::BASE;

/// The API with a key.
pub struct Api {
    pub http: reqwest::Client,
    pub base: String,
    pub key: String,
}

impl Api {
    async fn call(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let response = request.bearer_auth(&self.key).send().await?;
        let status = response.status();
        let body: Value = response.json().await?;
        ensure!(status.is_success(), "{status}: {body:#}");
        Ok(body)
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        self.call(self.http.get(format!("{}{BASE}{path}", self.base)))
            .await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(
            self.http
                .post(format!("{}{BASE}{path}", self.base))
                .json(body),
        )
        .await
    }

    pub async fn create_customer(&self, name: &str) -> Result<String> {
        text(
            &self.post("/customers", &json!({"name": name})).await?,
            "id",
        )
    }

    pub async fn connect(&self, customer: &str, tenant: &str) -> Result<Value> {
        self.connect_by(customer, tenant, &json!({})).await
    }

    /// The same in another way than by admin consent: `way` says which, with what it needs.
    pub async fn connect_by(&self, customer: &str, tenant: &str, way: &Value) -> Result<Value> {
        let mut body = json!({"customerId": customer, "tenant": tenant});
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
