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
            Error::DatabaseError(_, info)
                if info.message().contains("server closed the connection")
                    || info.message().contains("terminating connection")
                    || info.message().contains("disk I/O error")
                    || info.message().contains("database or disk is full") =>
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
