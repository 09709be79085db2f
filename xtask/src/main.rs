//! The project's own commands, in Rust so that they need no tool that the project does not need.
//! `cargo xtask --help` lists them; `cargo demo` is `cargo xtask demo`.

mod bench;
mod cargo;
mod checks;
mod demo;
mod postgres;
mod security_list;
mod test;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tenantry's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every test of the project, with a PostgreSQL of its own
    #[command(
        after_help = "Examples:\n  cargo xtask test\n  cargo xtask test -- c1_\n  cargo xtask test -- --test e2e -- --nocapture"
    )]
    Test {
        /// Also run what needs tools from outside (cargo-deny), installing them under target/
        #[arg(long)]
        tools: bool,
        /// Passed on to `cargo test`
        #[arg(last = true, value_name = "CARGO TEST ARGUMENTS")]
        arguments: Vec<String>,
    },
    /// Check the shape of the tree: who depends on whom, where SQL may stand, requirement ids
    Checks {
        /// Bring the column "shown by" of docs/security.md up to date instead of refusing it
        #[arg(long)]
        write: bool,
    },
    /// Measure speed and memory in release builds, as a table of ratios
    Bench {
        /// Passed on to the benchmark: --rounds N, --only PART-OF-A-NAME
        #[arg(last = true, value_name = "BENCH ARGUMENTS")]
        arguments: Vec<String>,
    },
    /// Run a command with an empty PostgreSQL at TENANTRY_TEST_POSTGRES_URL
    Postgres {
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Show the whole product against a stand-in for Microsoft's cloud
    Demo {
        /// Passed on to the demo, for example --once
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "DEMO ARGUMENTS"
        )]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Test { tools, arguments } => test::run(tools, &arguments),
        Command::Checks { write } => checks::run(write),
        Command::Bench { arguments } => bench::run(&arguments),
        Command::Postgres { command } => postgres::run(&command),
        Command::Demo { arguments } => demo::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
