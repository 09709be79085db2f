//! Tenantry: connects the Microsoft 365 tenants of an MSP's customers, and keeps what they hold in
//! sync. This file turns arguments into one command and its outcome into an exit code.

mod cli;
mod commands;
mod config;
mod failure;
mod output;
mod telemetry;
mod version;
mod wiring;

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
};

use clap::Parser as _;

fn main() -> ExitCode {
    // Bad usage ends here with exit code 2 and what would have been right.
    let cli = cli::Cli::parse();
    let verbose = cli.verbose;
    match commands::run(cli) {
        Ok(code) => code,
        Err(failure) => {
            // When stderr is gone too, the exit code still tells.
            let _written = writeln!(stderr().lock(), "{}", failure.render(verbose));
            ExitCode::from(failure.code())
        }
    }
}
