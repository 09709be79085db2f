//! `cargo demo`: builds the product and the demo, then becomes the demo, so that Ctrl-C and the exit
//! code are the demo's own.

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

use crate::cargo;

/// Builds, then replaces this process by the demo.
pub fn run(arguments: &[String]) -> Result<ExitCode> {
    // Both packages in one call: built apart, some dependencies would get other features and be
    // built twice.
    let build = [
        "build",
        "--locked",
        "-p",
        "tenantry-api",
        "-p",
        "tenantry-tests",
        "--bin",
        "tenantry",
        "--bin",
        "demo",
    ];
    cargo::must(&mut cargo::command(&build))?;
    let demo = cargo::binaries()?.join("demo");
    let failed = Command::new(&demo)
        .args(arguments)
        .env("TENANTRY_TEST_BINARY", cargo::tenantry()?)
        .exec();
    Err(failed).with_context(|| format!("cannot run {}", demo.display()))
}
