//! The command line: what may be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tenantry_core::{
    access::{Role, UnknownRole},
    ids::{InvalidId, OrgId},
};

const EXAMPLES: &str = "\
Examples:
  tenantry serve
      API and workers on an embedded SQLite database.
  tenantry admin create-organization --name \"Northwind MSP\" --json
      A new organisation and its first API key, which is shown once.
  TENANTRY_DATABASE_URL=postgres://tenantry@localhost/tenantry tenantry serve --role worker
      Workers only, on a PostgreSQL that several processes share.";

const SETTINGS: &str = "\
Settings are environment variables such as TENANTRY_LISTEN, or keys of the file that TENANTRY_CONFIG
names; docs/reference/settings.md lists them. Exit codes: 0 done, 1 failed, 2 used in a wrong way.";

/// Connects the Microsoft 365 tenants of an MSP's customers, and keeps what they hold in sync.
#[derive(Debug, Parser)]
#[command(
    name = "tenantry",
    bin_name = "tenantry",
    version = crate::version::LONG.as_str(),
    before_long_help = EXAMPLES,
    after_long_help = SETTINGS,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = false
)]
pub struct Cli {
    /// Show the causes of a failure, one a line.
    #[arg(long, global = true)]
    pub verbose: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server: API and workers in one process, or one of them.
    Serve(ServeOptions),
    /// Apply pending migrations to the database, and exit.
    Migrate,
    /// Organisations and API keys, for whoever runs the installation.
    #[command(subcommand, arg_required_else_help = true)]
    Admin(AdminCommand),
    /// Print the OpenAPI 3.1 document of the API.
    Openapi,
    /// The audit and its hash chains.
    #[command(subcommand, arg_required_else_help = true)]
    Audit(AuditCommand),
    /// Print a completion script for a shell.
    #[command(hide = true)]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// How to serve.
#[derive(Debug, Args)]
pub struct ServeOptions {
    /// `api` and `worker` split the work over processes; PostgreSQL only. A worker binds a port only
    /// if TENANTRY_LISTEN is set.
    #[arg(long, value_enum, default_value_t = ServerRole::All)]
    pub role: ServerRole,
    /// Do not apply migrations; refuse to start when some are pending.
    #[arg(long)]
    pub no_migrate: bool,
}

/// Which part of the work a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServerRole {
    /// API and workers.
    All,
    /// The API only.
    Api,
    /// Workers only.
    Worker,
}

impl ServerRole {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }

    /// Whether the process answers the API.
    pub const fn serves_api(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    /// Whether the process syncs.
    pub const fn works(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }
}

/// What the operator can do about organisations and keys.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Create an organisation with a first API key of the role owner, which does not expire and is
    /// shown once.
    CreateOrganization {
        /// What the organisation calls itself.
        #[arg(long)]
        name: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Create an API key, which is shown once.
    CreateApiKey {
        /// Id of the organisation.
        #[arg(long, value_parser = organization_id)]
        organization: OrgId,
        /// owner, technician, integration or reader.
        #[arg(long, value_parser = role)]
        role: Role,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Revoke an API key: it stops working at once, in every process.
    RevokeApiKey {
        /// Id of the key: the part between its second and its third underscore.
        id: String,
    },
}

/// What can be done about the audit.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the hash chains: exit 0 when intact, 1 when broken, 2 when it cannot tell.
    Verify {
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

fn organization_id(text: &str) -> Result<OrgId, InvalidId> {
    text.parse()
}

fn role(text: &str) -> Result<Role, UnknownRole> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/cli.md");

    /// The full names of all commands that do something.
    fn names(command: &clap::Command, prefix: &str) -> Vec<String> {
        let name = format!("{prefix}{}", command.get_name());
        let mut own: Vec<String> = command
            .get_subcommands()
            .flat_map(|inner| names(inner, &format!("{name} ")))
            .collect();
        if own.is_empty() {
            own.push(name);
        }
        own
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_reference_page_has_a_section_for_every_command() {
        let page = std::fs::read_to_string(REFERENCE).unwrap();
        for name in names(&Cli::command(), "") {
            assert!(page.contains(&format!("\n## {name}\n")), "{name}");
        }
    }

    #[test]
    fn what_the_contract_names_can_be_typed() {
        let organization = "01a1fe9f-146e-7604-a945-b2f2243b0e84";
        for line in [
            "serve",
            "serve --role api",
            "serve --role worker --no-migrate",
            "migrate",
            "admin create-organization --name NAME --json",
            "admin revoke-api-key ID",
            "openapi",
            "audit verify --json",
            "completions bash",
        ] {
            let arguments = std::iter::once("tenantry").chain(line.split(' '));
            assert!(Cli::try_parse_from(arguments).is_ok(), "{line}");
        }
        for role in Role::ALL {
            let line = [
                "tenantry",
                "admin",
                "create-api-key",
                "--organization",
                organization,
                "--role",
                role.as_str(),
            ];
            assert!(Cli::try_parse_from(line).is_ok(), "{role}");
        }
    }

    #[test]
    fn what_is_wrong_ends_with_exit_code_2() {
        for line in [
            "",
            "admin",
            "audit",
            "serv",
            "serve --role both",
            "admin create-organization",
            "admin create-api-key --organization x --role owner",
            "admin create-api-key --organization 01a1fe9f-146e-7604-a945-b2f2243b0e84 --role boss",
            "migrate --json",
        ] {
            let arguments = std::iter::once("tenantry").chain(line.split_whitespace());
            let error = Cli::try_parse_from(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
