//! The command line: what may be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tenantry_core::{
    access::{Role, UnknownRole},
    ids::OrgId,
};
use uuid::Uuid;

const EXAMPLES: &str = "\
Examples:
  tenantry serve
      API and workers on an embedded SQLite database.
  tenantry admin create-organization --name \"Northwind MSP\" --json
      A new organisation and its first API key, which is shown once.
  TENANTRY_DATABASE_URL=postgres://tenantry@localhost/tenantry tenantry serve --role worker
      Workers only, on a PostgreSQL that several processes share.
";

const SETTINGS: &str = "\
Settings are environment variables such as TENANTRY_LISTEN, or keys of the file that TENANTRY_CONFIG
names; docs/reference/settings.md lists them. Exit codes: 0 done, 1 failed, 2 used in a wrong way.";

/// Connects the Microsoft 365 tenants of an MSP's customers, and keeps what they hold in sync.
#[derive(Debug, Parser)]
#[command(
    name = "tenantry",
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
        /// Id of the key: the part between its second and its last underscore.
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

fn organization_id(text: &str) -> Result<OrgId, uuid::Error> {
    Uuid::try_parse(text).map(OrgId::from_uuid)
}

fn role(text: &str) -> Result<Role, UnknownRole> {
    text.parse()
}
