//! A SQLite file serves one server process: a second one would meet the first one's locks, and would
//! take over work that is under way.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    path::PathBuf,
};

use tenantry_core::store::DatabaseLocation;

use crate::{config::DatabaseConfig, failure::Failure};

/// Held as long as the process serves; the system lets go of it when the process ends in any way.
#[derive(Debug)]
pub struct SingleServer {
    _lock: Option<File>,
}

impl SingleServer {
    /// Makes sure that no other process serves this SQLite file. PostgreSQL serves many.
    ///
    /// # Errors
    /// When another process does, or the lock file cannot be made.
    pub fn claim(database: &DatabaseConfig) -> Result<Self, Failure> {
        let DatabaseLocation::Sqlite(path) = &database.location else {
            return Ok(Self { _lock: None });
        };
        let mut name = OsString::from(path);
        name.push(".lock");
        let name = PathBuf::from(name);
        // The file stays after us: taking it away could pull it from under a process that waits for it.
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&name)
            .map_err(|error| {
                Failure::new(format!("cannot make the lock file {}", name.display()))
                    .because(error)
                    .advise("Run it as the owner of the folder, or set TENANTRY_DATABASE_URL to a file that can be written.")
            })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(Failure::new(format!(
                "another server is using {}",
                database.shown
            ))
            .advise(
                "Stop it first, or use PostgreSQL: a SQLite database serves one server process.",
            )),
            Err(TryLockError::Error(error)) => {
                Err(Failure::new(format!("cannot lock {}", name.display())).because(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_refused_until_the_first_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tenantry.db");
        let database = DatabaseConfig {
            location: DatabaseLocation::Sqlite(path.clone()),
            shown: format!("sqlite://{}", path.display()),
        };
        let first = SingleServer::claim(&database).unwrap();
        let refused = SingleServer::claim(&database).unwrap_err().render(false);
        assert!(
            refused.contains("another server is using sqlite://"),
            "{refused}"
        );
        drop(first);
        SingleServer::claim(&database).unwrap();
    }
}
