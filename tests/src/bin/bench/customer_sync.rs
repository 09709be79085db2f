//! The first full read of 10,000 companies, from each PSA into each database, and a second one that finds
//! nothing changed.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tenantry_tests::{
    app::TestApp,
    database::Backend,
    fake_psa::{FakeAutotask, FakeConnectWise, FakeHaloPsa, Seed, desk::Psa, handle::Fake},
    psa_client::ALLOW_STAND_INS,
};

use crate::{DATABASES, memory, table::Table};

/// How many companies each PSA has.
const COMPANIES: usize = 10_000;

/// One round: each PSA into each database.
pub async fn round(table: &mut Table) -> Result<()> {
    for database in DATABASES {
        read(table, database, FakeConnectWise::start(companies()).await).await?;
        read(table, database, FakeAutotask::start(companies()).await).await?;
        read(table, database, FakeHaloPsa::start(companies()).await).await?;
    }
    Ok(())
}

/// The same companies in each round.
pub fn companies() -> Seed {
    Seed::companies(COMPANIES, 7)
}

/// A server that may call stand-ins and counts no requests.
pub async fn server(backend: Backend) -> TestApp {
    let settings = [
        ALLOW_STAND_INS,
        ("TENANTRY_RATE_LIMIT", "0"),
        ("TENANTRY_LOG", "warn"),
    ];
    TestApp::start_with(backend, &settings).await
}

async fn read<P: Psa>(
    table: &mut Table,
    (backend, database): (Backend, &str),
    psa: Fake<P>,
) -> Result<()> {
    let case = format!("customer sync, {} into {database}", psa.kind());
    let app = server(backend).await;
    let connection = app.owner.connect_psa(&psa).await;
    let idle = memory::mebibytes(app.pid(), "VmRSS")?;
    let run = app.owner.sync_psa(&connection, "full").await;
    ensure!(run["state"] == "completed", "{case}: {run:#}");
    let truth = psa.truth().len();
    ensure!(
        run["created"] == truth,
        "{case}: {run:#}, the PSA has {truth}"
    );
    let peak = memory::mebibytes(app.pid(), "VmHWM")?;
    let seconds = seconds(&run)?;
    let processed = run["processed"].as_f64().context("processed")?;
    table.note(&case, "companies a second", processed / seconds);
    table.note(&case, "seconds", seconds);
    table.note(&case, "peak above idle, MiB", peak - idle);
    let requests = run["requests"].as_f64().context("requests")?;
    table.note(&case, "requests of the run", requests);

    let begun = Instant::now();
    let again = app.owner.sync_psa(&connection, "full").await;
    ensure!(
        again["updated"] == 0 && again["created"] == 0,
        "{case}: {again:#}"
    );
    table.note(
        &case,
        "seconds, nothing changed",
        begun.elapsed().as_secs_f64(),
    );
    Ok(())
}

/// From the moment a worker took the run to its end.
fn seconds(run: &Value) -> Result<f64> {
    let at = |name: &str| -> Result<DateTime<Utc>> {
        Ok(run[name].as_str().context("a time")?.parse()?)
    };
    let took = at("finishedAt")? - at("startedAt")?;
    Ok(took.num_milliseconds() as f64 / 1000.0)
}
