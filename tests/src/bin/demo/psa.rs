//! Stand-ins for the three PSAs with the customers of the demo, connected and synced as a technician
//! would.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tenantry_tests::fake_psa::{
    FakeAutotask, FakeConnectWise, FakeHaloPsa, Seed,
    desk::Psa,
    handle::Fake,
    seed::{Firm, tenant_of},
    world::{Relation, State},
};

use super::api::{Api, text};

/// Customers of each PSA that have no tenant in the demo.
const OTHERS: usize = 40;
/// Longest time for the syncs of all three.
const PATIENCE: Duration = Duration::from_secs(60);

/// The three PSAs. Each ends with this value.
pub struct Psas {
    connectwise: FakeConnectWise,
    autotask: FakeAutotask,
    halopsa: FakeHaloPsa,
}

/// A PSA that is connected.
struct Connected {
    id: String,
    name: &'static str,
    kind: &'static str,
    /// What it has: ids and names of the active ones.
    truth: BTreeMap<String, String>,
}

impl Psas {
    /// Each knows some customers of the demo's tenants, each by other evidence, and a few dozen others.
    pub async fn start() -> Self {
        let connectwise = Seed::companies(OTHERS, 1)
            .with(
                Firm::new("Contoso Ltd")
                    .code("CON-001")
                    .website("https://www.contoso.example/about")
                    .mails(&["ada@contoso.example", "bert@contoso.example"]),
            )
            .with(
                Firm::new("Litware, Inc.")
                    .code("LIT-005")
                    .website("n/a")
                    .mails(&["fay@litware.example", "gil@litware.example"]),
            )
            .with(
                Firm::new("Northgate's Paper Supplier")
                    .relation(Relation::Vendor)
                    .website("paper.example"),
            );
        let autotask = Seed::companies(OTHERS + 5, 2)
            .with(
                Firm::new("Fabrikam GmbH & Co. KG")
                    .code("FAB-002")
                    .website("Fabrikam.example")
                    .mails(&["carla@fabrikam.example", "carla.private@gmail.com"]),
            )
            .with(
                Firm::new("Tailspin Toys")
                    .code("TAI-004")
                    .tenant_field(&format!("\u{200e}{} ", tenant_of("tailspin.example")))
                    .mails(&["emil@hotmail.co.uk"]),
            );
        let halopsa = Seed::companies(OTHERS - 5, 3)
            .with(
                Firm::new("Woodgrove Bank")
                    .mails(&["admin@woodgrove.onmicrosoft.com", "dora@woodgrove.example"]),
            )
            .with(
                Firm::new("A. Datum Corporation")
                    .mapped(tenant_of("adatum.example"), "adatum.onmicrosoft.com"),
            )
            .with(Firm::new("Old Mill Café").state(State::Inactive));
        Self {
            connectwise: FakeConnectWise::start(connectwise).await,
            autotask: FakeAutotask::start(autotask).await,
            halopsa: FakeHaloPsa::start(halopsa).await,
        }
    }

    /// Connects all three, and waits until their customers are there and equal to what the PSAs have.
    pub async fn bring_customers(&self, api: &Api) -> Result<()> {
        let connected = [
            connect(api, &self.connectwise, "ConnectWise PSA").await?,
            connect(api, &self.autotask, "Autotask PSA").await?,
            connect(api, &self.halopsa, "HaloPSA").await?,
        ];
        for psa in &connected {
            begin_sync(api, psa).await?;
        }
        println!("\n  PSA              read  created  updated  deactivated  requests  state");
        for psa in &connected {
            let runs = ended_runs(api, psa).await?;
            show(psa, &runs)?;
            compare(api, psa).await?;
        }
        Ok(())
    }

    /// Fails when the server did something that a PSA forbids.
    pub fn ensure_well_treated(&self) -> Result<()> {
        let violations = [
            self.connectwise.violations(),
            self.autotask.violations(),
            self.halopsa.violations(),
        ]
        .concat();
        ensure!(violations.is_empty(), "{violations:#?}");
        Ok(())
    }
}

/// Connects a PSA and has the connection looked at.
async fn connect<P: Psa>(api: &Api, psa: &Fake<P>, name: &'static str) -> Result<Connected> {
    let body = json!({
        "kind": psa.kind(), "name": name, "baseUrl": psa.base_url(), "credentials": psa.credentials(),
    });
    let made = api.post("/psa-connections", &body).await?;
    let id = text(&made, "id")?;
    let report = api
        .post(&format!("/psa-connections/{id}/test"), &json!({}))
        .await?;
    ensure!(report["ok"] == true, "{name}: {report:#}");
    let checks = report["checks"].as_array().into_iter().flatten();
    let names: Vec<&str> = checks.filter_map(|check| check["name"].as_str()).collect();
    println!("  {name:<15}  connected; tested: {}", names.join(", "));
    Ok(Connected {
        id,
        name,
        kind: psa.kind(),
        truth: psa.truth(),
    })
}

/// Asks for everything. A connection begins with that by itself, and then the wish is refused.
async fn begin_sync(api: &Api, psa: &Connected) -> Result<()> {
    let path = format!("/psa-connections/{}/sync", psa.id);
    let (status, answer) = api.try_post(&path, &json!({"kind": "full"})).await?;
    let is_begun = status.is_success() || answer["code"] == "syncAlreadyRunning";
    ensure!(is_begun, "{}: {status}: {answer:#}", psa.name);
    Ok(())
}

/// All its runs, once they have ended.
async fn ended_runs(api: &Api, psa: &Connected) -> Result<Vec<Value>> {
    let begun = Instant::now();
    loop {
        let runs = api
            .list(&format!("/psa-connections/{}/sync-runs", psa.id))
            .await?;
        if !runs.is_empty() && runs.iter().all(|run| !run["finishedAt"].is_null()) {
            return Ok(runs);
        }
        ensure!(begun.elapsed() < PATIENCE, "{}: {runs:#?}", psa.name);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A row of the table. The newest run comes first.
fn show(psa: &Connected, runs: &[Value]) -> Result<()> {
    let sum = |name: &str| -> usize {
        let counts = runs.iter().filter_map(|run| run[name].as_u64());
        counts.map(|count| count as usize).sum()
    };
    let states: Vec<&str> = runs
        .iter()
        .filter_map(|run| run["state"].as_str())
        .collect();
    println!(
        "  {:<15}  {:>4}  {:>7}  {:>7}  {:>11}  {:>8}  {}",
        psa.name,
        sum("processed"),
        sum("created"),
        sum("updated"),
        sum("deactivated"),
        sum("requests"),
        states.join(", "),
    );
    let are_complete = states.iter().all(|state| *state == "completed");
    ensure!(are_complete, "{}: {runs:#?}", psa.name);
    let (created, truth) = (sum("created"), psa.truth.len());
    ensure!(
        created == truth,
        "{}: {created} customers made, {truth} there",
        psa.name
    );
    Ok(())
}

/// Fails unless its customers are those that it has.
async fn compare(api: &Api, psa: &Connected) -> Result<()> {
    let mut found = BTreeMap::new();
    for customer in api.list("/customers?active=true").await? {
        if customer["source"] == psa.kind {
            found.insert(text(&customer, "externalId")?, text(&customer, "name")?);
        }
    }
    ensure!(
        found == psa.truth,
        "{}: found {found:#?}, expected {:#?}",
        psa.name,
        psa.truth
    );
    Ok(())
}
