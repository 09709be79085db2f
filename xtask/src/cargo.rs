//! Calling cargo, and where things lie.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus},
};

use anyhow::{Context, Result, bail};

/// The folder of the workspace whose `cargo xtask` this is. `cargo run` says which; asked when this was
/// compiled, it would be another clone's where two share a target folder.
pub fn root() -> PathBuf {
    let here =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(here)
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// The folder that binaries of the dev profile are put into: the one this program lies in, which is
/// right whatever `CARGO_TARGET_DIR` or a cargo configuration says.
pub fn binaries() -> Result<PathBuf> {
    let here = std::env::current_exe().context("cannot tell where xtask itself lies")?;
    Ok(here
        .parent()
        .context("xtask lies in no folder")?
        .to_path_buf())
}

/// The target folder.
pub fn target() -> Result<PathBuf> {
    let binaries = binaries()?;
    let target = binaries
        .parent()
        .context("the target folder has no parent")?;
    Ok(target.to_path_buf())
}

/// The built `tenantry`.
pub fn tenantry() -> Result<PathBuf> {
    Ok(binaries()?.join("tenantry"))
}

/// A cargo command in the folder of the workspace, by the cargo that runs us.
pub fn command(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command to its end; anything but success is an error that names the command.
pub fn must(command: &mut Command) -> Result<()> {
    let status = run(command)?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a command to its end, with our own standard streams.
pub fn run(command: &mut Command) -> Result<ExitStatus> {
    command
        .status()
        .with_context(|| format!("cannot run `{}`", shown(command)))
}

/// The command's own exit code; one that a signal ended counts as a failure.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code) => ExitCode::from(code),
        None => ExitCode::FAILURE,
    }
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
