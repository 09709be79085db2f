//! `cargo xtask test`: every test of the project.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{cargo, checks, postgres::Cluster, tools};

/// Checks the tree, builds the product with failpoints, starts PostgreSQL and runs the tests.
pub fn run(with_tools: bool, arguments: &[String]) -> Result<ExitCode> {
    checks::check(false)?;
    if with_tools {
        tools::check()?;
    }
    // The same selection of packages and features as the tests below, so that nothing is built twice.
    cargo::must(&mut cargo::command(&[
        "build",
        "--workspace",
        "--locked",
        "--features",
        FEATURES,
    ]))?;

    let cluster = Cluster::start()?;
    let mut tests = cargo::command(&[
        "test",
        "--workspace",
        "--locked",
        "--no-fail-fast",
        "--features",
        FEATURES,
    ]);
    tests.args(arguments);
    clean_environment(&mut tests);
    tests.env("TENANTRY_TEST_POSTGRES_URL", cluster.url());
    tests.env("TENANTRY_TEST_BINARY", cargo::tenantry()?);
    // Most of the time a test waits for processes that it has started.
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        let cores = std::thread::available_parallelism()?.get();
        tests.env("RUST_TEST_THREADS", (cores + cores.div_ceil(2)).to_string());
    }
    let status = cargo::run(&mut tests)?;
    drop(cluster);
    Ok(cargo::exit_code(status))
}

/// Failpoints let a test kill the process between two durable steps; no release build has them.
const FEATURES: &str = "tenantry-api/failpoints";

/// Keeps the developer's own settings and PostgreSQL defaults out of the tests. What a test run may
/// be told from outside (where example bodies lie) stays.
fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = text.starts_with("TENANTRY_") && text != "TENANTRY_EXAMPLES";
        if ours || text.starts_with("PG") {
            command.env_remove(&name);
        }
    }
}
