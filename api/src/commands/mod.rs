//! The commands: what each does once its arguments are read. Results go to stdout, everything else to
//! stderr.

mod admin;
mod audit;
mod completions;
mod migrate;
mod openapi;
mod serve;

use std::process::ExitCode;

use crate::{
    cli::{AuditCommand, Cli, Command},
    failure::Failure,
};

/// Runs a command to its end.
///
/// # Errors
/// What went wrong, for people.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Serve(options) => serve::run(&options).map(done),
        Command::Migrate => migrate::run().map(done),
        Command::Admin(command) => admin::run(command).map(done),
        Command::Openapi => openapi::run().map(done),
        Command::Audit(AuditCommand::Verify { json }) => audit::verify(json),
        Command::Completions { shell } => completions::run(shell).map(done),
    }
}

fn done(_nothing: ()) -> ExitCode {
    ExitCode::SUCCESS
}
