//! The settings: read once at start, from the environment over the file that `TENANTRY_CONFIG` names.
//!
//! One struct for each concern. Everything that is wrong is reported at once; an unknown key of the
//! file refuses the start, an unknown variable is only a warning.

mod database;
mod http;
mod microsoft;
mod nearest;
mod reader;
pub mod settings;
#[cfg(test)]
mod tests;
mod upstreams;

use std::{ffi::OsString, num::NonZeroU16, path::PathBuf};

use tenantry_core::{
    inventory::license_names::{LicenseNamesError, LicenseNamesFile},
    outbound::TargetPolicy,
    secrets::MasterKey,
    store::DatabaseLocation,
};
use tracing_subscriber::EnvFilter;

use self::reader::Reader;
pub use self::{
    database::DatabaseConfig, http::HttpConfig, microsoft::MicrosoftConfig, reader::Warning,
};

/// All settings, valid.
#[derive(Debug)]
pub struct Config {
    /// The HTTP side.
    pub http: HttpConfig,
    /// Where the data is.
    pub database: DatabaseConfig,
    /// Where the master key comes from.
    pub master_key: MasterKeySource,
    /// The app registration and the cloud.
    pub microsoft: MicrosoftConfig,
    /// Which addresses that a user can name may be called.
    pub upstreams: TargetPolicy,
    /// How many tenants may sync at once in this process.
    pub sync_workers: NonZeroU16,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Names of products, beyond the built-in ones.
    pub license_names: LicenseNamesFile,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
}

/// Where the master key comes from.
pub enum MasterKeySource {
    /// It was given.
    Given(MasterKey),
    /// It stands, or will be made, beside this database file.
    Beside(PathBuf),
    /// It is missing, and the command needs none.
    NotNeeded,
}

impl std::fmt::Debug for MasterKeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given(redacted)"),
            Self::Beside(database) => f.debug_tuple("Beside").field(database).finish(),
            Self::NotNeeded => f.write_str("NotNeeded"),
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// Which lines.
    pub filter: String,
    /// Their form.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What a command needs of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The database alone: it reads and writes no secret.
    Database,
    /// The master key as well.
    MasterKey,
}

/// The settings that cannot be used, all of them.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// What is wrong, one sentence each. No secret stands in them.
    pub problems: Vec<String>,
}

impl std::error::Error for ConfigError {}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.problems.as_slice() {
            [single] => f.write_str(single),
            several => {
                write!(f, "{} settings cannot be used:", several.len())?;
                several
                    .iter()
                    .try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl Config {
    /// Reads the settings of this process.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn of_process(needs: Needs) -> Result<Self, ConfigError> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            name.starts_with(settings::PREFIX).then_some((name, value))
        });
        Self::read(variables, needs)
    }

    /// Reads the settings from variables and the file that one of them names.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(
        variables: impl Iterator<Item = (String, OsString)>,
        needs: Needs,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(variables);
        let config = Self::read_all(&mut reader, needs);
        match config {
            Some(mut config) if reader.problems.is_empty() => {
                config.warnings = reader.warnings;
                Ok(config)
            }
            Some(_) | None => Err(ConfigError {
                problems: reader.problems,
            }),
        }
    }

    /// Asks for every setting, also after one was refused.
    fn read_all(reader: &mut Reader, needs: Needs) -> Option<Self> {
        let http = HttpConfig::read(reader);
        let sync_workers = sync_workers(reader);
        let database = DatabaseConfig::read(reader);
        let master_key = master_key(reader, database.as_ref(), needs);
        let microsoft = MicrosoftConfig::read(reader);
        reader.parsed("PARTNER_WRITES", |text| {
            text.parse::<bool>()
                .map_err(|_neither| "expected true or false")
        });
        let upstreams = upstreams::read(reader);
        let license_names = license_names(reader);
        let log = log(reader);
        Some(Self {
            http: http?,
            database: database?,
            master_key: master_key?,
            microsoft: microsoft?,
            upstreams,
            sync_workers,
            log,
            license_names: license_names?,
            warnings: Vec::new(),
        })
    }
}

fn sync_workers(reader: &mut Reader) -> NonZeroU16 {
    let given = reader.parsed("SYNC_WORKERS", |text| {
        text.parse::<NonZeroU16>()
            .map_err(|_not_one| "expected a number from 1 to 65535")
    });
    given.unwrap_or_else(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = u16::try_from(cores.saturating_mul(4)).unwrap_or(u16::MAX);
        NonZeroU16::new(workers).unwrap_or(NonZeroU16::MIN)
    })
}

/// The master key, as far as it can be known before the database is opened.
fn master_key(
    reader: &mut Reader,
    database: Option<&DatabaseConfig>,
    needs: Needs,
) -> Option<MasterKeySource> {
    if let Some(text) = reader.secret("MASTER_KEY") {
        return match MasterKey::from_base64(&text) {
            Ok(key) => Some(MasterKeySource::Given(key)),
            Err(error) => {
                reader.refuse("MASTER_KEY", error);
                None
            }
        };
    }
    if reader.is_given("MASTER_KEY") {
        return None;
    }
    match (needs, &database?.location) {
        (Needs::Database, _) => Some(MasterKeySource::NotNeeded),
        (Needs::MasterKey, DatabaseLocation::Sqlite(path)) => {
            Some(MasterKeySource::Beside(path.clone()))
        }
        (Needs::MasterKey, DatabaseLocation::Postgres { .. }) => {
            reader.refuse(
                "MASTER_KEY",
                "is required with PostgreSQL. Make one with `openssl rand -base64 32`, and keep a copy apart from the database",
            );
            None
        }
    }
}

fn license_names(reader: &mut Reader) -> Option<LicenseNamesFile> {
    let path = reader.text("LICENSE_NAMES_FILE").map(PathBuf::from);
    match LicenseNamesFile::open(path) {
        Ok(file) => Some(file),
        Err(error) => {
            let why = match error {
                LicenseNamesError::Unreadable(cause) => format!("cannot be read: {cause}"),
                error @ (LicenseNamesError::TooLarge
                | LicenseNamesError::MissingColumns
                | LicenseNamesError::NoProducts) => error.to_string(),
            };
            reader.refuse("LICENSE_NAMES_FILE", why);
            None
        }
    }
}

fn log(reader: &mut Reader) -> LogConfig {
    let filter = reader.parsed("LOG", |text| {
        EnvFilter::builder().parse(text).map(|_| text.to_owned())
    });
    let format = reader.parsed("LOG_FORMAT", |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _other => Err("expected text or json"),
    });
    LogConfig {
        filter: filter.unwrap_or_else(|| "info".to_owned()),
        format: format.unwrap_or(LogFormat::Text),
    }
}
