//! `cargo xtask bench`: release builds of product and benchmark, a PostgreSQL of its own, a table.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{cargo, postgres::Cluster};

/// Builds, measures, prints the table, and writes it to `target/bench/report.json`.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    let build = [
        "build",
        "--release",
        "--locked",
        "-p",
        "tenantry-api",
        "-p",
        "tenantry-tests",
        "--bin",
        "tenantry",
        "--bin",
        "bench",
    ];
    cargo::must(&mut cargo::command(&build))?;
    let target = cargo::target()?;
    let reports = target.join("bench");
    std::fs::create_dir_all(&reports)?;
    let release = target.join("release");
    let cluster = Cluster::start()?;
    let mut bench = Command::new(release.join("bench"));
    bench
        .args(arguments)
        .env("TENANTRY_TEST_BINARY", release.join("tenantry"))
        .env("TENANTRY_TEST_POSTGRES_URL", cluster.url())
        .env("TENANTRY_BENCH_REPORT", reports.join("report.json"));
    let status = cargo::run(&mut bench)?;
    drop(cluster);
    Ok(cargo::exit_code(status))
}
