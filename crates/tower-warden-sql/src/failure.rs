//! What a database's errors mean to a caller.

use sqlx::Error;

use super::super::{
    error::{KeyError, KeyErrorKind},
    record::KeyId,
};
use crate::error::Unavailable;

/// What the database said.
///
/// Not its error itself, whose `Debug` shows the row that a statement failed on, and with it a digest.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// A row that is no record; what is in the column is not told.
#[derive(Debug, thiserror::Error)]
#[error("the column `{column}` of key {} is malformed", self.id.as_ref().map_or("(no id)", KeyId::as_str))]
pub(super) struct Malformed {
    pub(super) column: &'static str,
    pub(super) id: Option<KeyId>,
}

/// Never "no such key": whoever holds the key is told to come again.
impl From<Malformed> for Unavailable {
    fn from(row: Malformed) -> Self {
        Self::new("the key store").because(row)
    }
}

/// A read failed.
pub(super) fn unread(error: Error) -> Unavailable {
    Unavailable::new("the key store").because(Cause::from(error))
}

/// A write, or what comes before the first one, failed.
pub(super) fn unwritten(error: Error) -> KeyError {
    let kind = match &error {
        Error::Configuration(_) => KeyErrorKind::Configuration,
        Error::Database(error) if error.is_unique_violation() => KeyErrorKind::Conflict,
        _ => KeyErrorKind::Unavailable,
    };
    KeyError::new(kind).because(Cause::from(error))
}

/// A store that cannot be one.
pub(super) fn misconfigured(message: &'static str) -> KeyError {
    KeyError::new(KeyErrorKind::Configuration).because(message)
}

/// A key that cannot be one.
pub(super) fn invalid(message: &'static str) -> KeyError {
    KeyError::new(KeyErrorKind::Invalid).because(message)
}
