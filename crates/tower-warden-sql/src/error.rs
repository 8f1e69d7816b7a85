//! Conversion of database errors.

use sqlx::Error;
use tower_warden::{
    Unavailable,
    api_key::{KeyError, KeyErrorKind, KeyId},
};

/// The dependency that errors and log lines name.
const STORE: &str = "the key store";

/// The message of a database error.
///
/// Without the error itself: its `Debug` shows the row that a statement failed on, and with it a digest.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Message(String);

impl From<Error> for Message {
    fn from(error: Error) -> Self {
        Self(if is_of_pooler(&error) { format!("{error}: {POOLER_ADVICE}") } else { error.to_string() })
    }
}

/// The advice about a pooler.
pub(crate) const POOLER_ADVICE: &str = "notifications or prepared statements are lost between the key store and Postgres, \
     as by a pooler in transaction mode; use `SqlKeyStore::connect_through_pooler`, or \
     `SqlKeyStore::postgres_through_pooler`, with a direct URL of the same database for notifications";

/// Returns whether an error is typical of a pooler in transaction mode: a prepared statement that another client prepared,
/// or that this one prepared on another connection, or a parameter that the pooler does not know.
pub(crate) fn is_of_pooler(error: &Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    matches!(error.code().as_deref(), Some("26000" | "42P05"))
        || error.message().contains("unsupported startup parameter")
}

/// A row that is not a valid record. The content of the column is not shown.
#[derive(Debug, thiserror::Error)]
#[error("the column `{column}` of key {} is malformed", self.id.as_ref().map_or("(malformed id)", KeyId::as_str))]
pub(crate) struct MalformedRow {
    pub(crate) column: &'static str,
    pub(crate) id: Option<KeyId>,
}

/// Never "not found": a client that holds the key may retry.
impl From<MalformedRow> for Unavailable {
    fn from(row: MalformedRow) -> Self {
        unavailable(row)
    }
}

/// Converts the error of a read.
pub(crate) fn read_error(error: Error) -> Unavailable {
    unavailable(Message::from(error))
}

/// Converts the error of a write, of connecting, or of a migration.
pub(crate) fn write_error(error: Error) -> KeyError {
    let kind = match &error {
        Error::Configuration(_) => KeyErrorKind::Configuration,
        error if is_of_pooler(error) => KeyErrorKind::Configuration,
        Error::Database(error) if error.is_unique_violation() => KeyErrorKind::Conflict,
        _ => KeyErrorKind::Unavailable,
    };
    KeyError::new(kind).because(Message::from(error))
}

/// A failure to respond: a time-out, or a task that was lost.
pub(crate) fn unavailable(cause: impl std::error::Error + Send + Sync + 'static) -> Unavailable {
    Unavailable::new(STORE).because(cause)
}

/// An invalid configuration of the store.
pub(crate) fn configuration_error(message: &'static str) -> KeyError {
    KeyError::new(KeyErrorKind::Configuration).because(message)
}

/// A record that cannot be stored.
pub(crate) fn invalid_record(message: &'static str) -> KeyError {
    KeyError::new(KeyErrorKind::Invalid).because(message)
}
