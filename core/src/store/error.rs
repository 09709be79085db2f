//! What can go wrong with the store, as decisions a caller can take.

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or has no connection to give; the same call may succeed later.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database is locked or a transaction lost a race; the same call may succeed at once.
    #[error("the database is busy")]
    Busy(#[source] diesel::result::Error),
    /// A unique key is taken.
    #[error("the key exists already")]
    Conflict(#[source] diesel::result::Error),
    /// The thing is not there, or not in this organisation.
    #[error("not found")]
    NotFound,
    /// The database refused the statement: a fault of ours or of its schema.
    #[error("the database refused a statement")]
    Refused(#[source] diesel::result::Error),
    /// A stored value is not what this program writes.
    #[error("the stored {what} cannot be read")]
    Corrupt {
        /// Which value.
        what: &'static str,
    },
}

/// What libpq, PostgreSQL, a pooler before it and SQLite say when the database is gone, going or coming,
/// where diesel has no kind for it.
const UNAVAILABLE: [&str; 14] = [
    "server closed the connection",
    "terminating connection",
    "no connection to the server",
    "connection to server was lost",
    "could not receive data from server",
    "could not send data to server",
    "SSL SYSCALL error",
    "SSL connection has been closed",
    "server conn crashed",
    "the database system is shutting down",
    "the database system is starting up",
    "the database system is in recovery mode",
    "disk I/O error",
    "database or disk is full",
];

impl From<diesel::result::Error> for StoreError {
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::{DatabaseErrorKind as Kind, Error};
        match &error {
            Error::NotFound => Self::NotFound,
            Error::DatabaseError(Kind::UniqueViolation, _) => Self::Conflict(error),
            Error::DatabaseError(Kind::SerializationFailure, _) => Self::Busy(error),
            Error::DatabaseError(Kind::ClosedConnection | Kind::UnableToSendCommand, _)
            | Error::BrokenTransactionManager => Self::Unavailable(error.into()),
            Error::DatabaseError(_, info)
                if info.message().contains("database is locked")
                    || info.message().contains("deadlock detected") =>
            {
                Self::Busy(error)
            }
            // A primary that became a standby under a transaction: the next one goes elsewhere.
            Error::DatabaseError(Kind::ReadOnlyTransaction, _) => Self::Unavailable(error.into()),
            Error::DatabaseError(_, info)
                if UNAVAILABLE.iter().any(|part| info.message().contains(part)) =>
            {
                Self::Unavailable(error.into())
            }
            Error::DatabaseError(..)
            | Error::InvalidCString(_)
            | Error::QueryBuilderError(_)
            | Error::DeserializationError(_)
            | Error::SerializationError(_)
            | Error::RollbackErrorOnCommit { .. }
            | Error::RollbackTransaction
            | Error::AlreadyInTransaction
            | Error::NotInTransaction
            | _ => Self::Refused(error),
        }
    }
}

impl From<r2d2::Error> for StoreError {
    fn from(error: r2d2::Error) -> Self {
        Self::Unavailable(error.into())
    }
}

#[cfg(test)]
mod tests {
    use diesel::result::{DatabaseErrorKind, Error};

    use super::*;

    fn of(kind: DatabaseErrorKind, message: &str) -> StoreError {
        Error::DatabaseError(kind, Box::new(message.to_owned())).into()
    }

    #[test]
    fn r21_a_database_that_is_gone_going_or_coming_is_unavailable() {
        for message in [
            "server closed the connection unexpectedly\n\tThis probably means the server terminated",
            "FATAL:  terminating connection due to idle-in-transaction timeout",
            "could not receive data from server: Connection timed out",
            "SSL SYSCALL error: EOF detected",
            "FATAL:  the database system is shutting down",
        ] {
            let error = of(DatabaseErrorKind::Unknown, message);
            assert!(matches!(error, StoreError::Unavailable(_)), "{message}");
        }
        let demoted = of(
            DatabaseErrorKind::ReadOnlyTransaction,
            "cannot execute UPDATE in a read-only transaction",
        );
        assert!(matches!(demoted, StoreError::Unavailable(_)));
        let refused = of(DatabaseErrorKind::Unknown, "syntax error at or near \"x\"");
        assert!(matches!(refused, StoreError::Refused(_)));
    }
}
