//! Tenantry: connects the Microsoft 365 tenants of an MSP's customers, and keeps what they hold in
//! sync. This file turns arguments into one command and its outcome into an exit code.

mod auth;
mod cli;
mod client_address;
mod commands;
mod config;
mod credential_report;
mod credential_watch;
mod drain;
mod etag;
mod event_stream;
mod failure;
mod flow_cookie;
mod html_page;
mod idempotent;
mod json_body;
mod loopback_host;
mod maintenance;
mod metrics;
mod middleware;
mod openapi;
mod output;
mod pages;
mod paging;
mod path_id;
mod problem;
mod query;
mod readiness;
mod routes;
mod server;
mod signals;
mod single_server;
mod state;
mod status_follower;
mod telemetry;
mod time_text;
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
