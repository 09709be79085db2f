//! The suites that need a program from outside: `cargo xtask test --tools`. One function a tool,
//! called from [`check`]; each is installed under the target folder, never into the developer's own.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::cargo;

/// Runs every such suite.
pub fn check() -> Result<()> {
    cargo_deny()
}

/// Licences, banned crates, sources and known advisories, as `deny.toml` says.
fn cargo_deny() -> Result<()> {
    let program = found_or_installed("cargo-deny")?;
    cargo::must(
        Command::new(program)
            .args(["--locked", "check"])
            .current_dir(cargo::root()),
    )
}

/// A cargo tool from the PATH, or one that is built once into `<target>/tools`.
fn found_or_installed(name: &str) -> Result<PathBuf> {
    let mut version = Command::new(name);
    version
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if version.status().is_ok_and(|status| status.success()) {
        return Ok(name.into());
    }
    let tools = cargo::target()?.join("tools");
    let program = tools.join("bin").join(name);
    if !program.exists() {
        cargo::must(cargo::command(&["install", "--locked", name, "--root"]).arg(&tools))?;
    }
    Ok(program)
}
