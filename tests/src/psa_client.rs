//! Verbs for PSA connections, as a technician's script would call them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    app::{Caller, PATIENCE},
    fake_psa::{desk::Psa, handle::Fake},
};

/// Setting without which a server calls no stand-in.
pub const ALLOW_STAND_INS: (&str, &str) = ("TENANTRY_ALLOW_LOOPBACK_UPSTREAMS", "true");

impl Caller {
    /// Connects a PSA; the connection's id.
    pub async fn connect_psa<P: Psa>(&self, psa: &Fake<P>) -> String {
        let body = json!({
            "kind": psa.kind(), "name": format!("Our {}", psa.kind()), "baseUrl": psa.base_url(),
            "credentials": psa.credentials(),
        });
        let made = self
            .post("/psa-connections", &body)
            .await
            .expect(201)
            .json();
        made["id"].as_str().expect("an id").to_owned()
    }

    /// The connection as it is shown.
    pub async fn psa_connection(&self, id: &str) -> Value {
        let path = format!("/psa-connections/{id}");
        self.get(&path).await.expect(200).json()
    }

    /// What a look at the connection finds.
    pub async fn test_psa(&self, id: &str) -> Value {
        let path = format!("/psa-connections/{id}/test");
        self.post(&path, &json!({})).await.expect(200).json()
    }

    /// Asks for a run of this kind, as soon as none is under way; its id.
    pub async fn begin_psa_sync(&self, id: &str, kind: &str) -> String {
        let path = format!("/psa-connections/{id}/sync");
        let begun = Instant::now();
        loop {
            let answer = self.post(&path, &json!({"kind": kind})).await;
            if answer.status != 409 {
                let run = answer.expect(202).json();
                return run["syncRunId"].as_str().expect("an id").to_owned();
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "a run does not end: {}",
                answer.text
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for the end of a run; as it ended.
    pub async fn wait_for_psa_run(&self, id: &str, run: &str) -> Value {
        let path = format!("/psa-connections/{id}/sync-runs/{run}");
        let begun = Instant::now();
        loop {
            let run = self.get(&path).await.expect(200).json();
            if !run["finishedAt"].is_null() {
                return run;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited for a run's end: {run:#}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks for a run and waits for its end.
    pub async fn sync_psa(&self, id: &str, kind: &str) -> Value {
        let run = self.begin_psa_sync(id, kind).await;
        self.wait_for_psa_run(id, &run).await
    }

    /// The active customers of a PSA, by their ids there.
    pub async fn active_customers_of(&self, kind: &str) -> BTreeMap<String, String> {
        let text = |customer: &Value, name: &str| customer[name].as_str().map(str::to_owned);
        let mut found = BTreeMap::new();
        for customer in self.list("/customers").await {
            if customer["source"] != kind || customer["active"] != json!(true) {
                continue;
            }
            let id = text(&customer, "externalId").expect("an id at the PSA");
            let name = text(&customer, "name").expect("a name");
            let twice = found.insert(id, name);
            assert!(
                twice.is_none(),
                "two customers for one record: {customer:#}"
            );
        }
        found
    }

    /// Fails unless the active customers of this PSA are those that it has.
    pub async fn assert_customers_equal<P: Psa>(&self, psa: &Fake<P>) {
        let (found, truth) = (self.active_customers_of(psa.kind()).await, psa.truth());
        assert_eq!(found.len(), truth.len());
        for (id, name) in &truth {
            assert_eq!(found.get(id), Some(name), "customer {id}");
        }
    }
}
