//! Errors of the stores of an issuer.

use std::error::Error;

use tower_warden::Unavailable;

use crate::error::is_of_pooler;

/// An error of a store of an issuer.
///
/// [`source`](Error::source) is the cause, for the log. It contains no record.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.kind.text())]
pub struct IssuerStoreError {
    kind: IssuerStoreErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kind of an [`IssuerStoreError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum IssuerStoreErrorKind {
    /// The store is misconfigured: its URL, features or tables.
    Configuration,
    /// A client with this id exists already, or was changed in the meantime.
    Conflict,
    /// The client cannot be stored, or was given another id.
    Invalid,
    /// The client does not exist.
    NotFound,
    /// The database did not answer, or has a malformed record.
    Unavailable,
}

/// The advice about a pooler.
pub(super) const POOLER_ADVICE: &str = "notifications or prepared statements are lost between the store and Postgres, as by a \
     pooler in transaction mode; use `SqlIssuerStore::connect_through_pooler` or \
     `SqlIssuerStore::postgres_through_pooler`";

impl IssuerStoreErrorKind {
    const fn text(self) -> &'static str {
        match self {
            Self::Configuration => "the store of the issuer is misconfigured",
            Self::Conflict => "a client with this id exists already, or was changed in the meantime",
            Self::Invalid => "the client cannot be stored",
            Self::NotFound => "the client does not exist",
            Self::Unavailable => "the store of the issuer is unavailable",
        }
    }
}

impl IssuerStoreError {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> IssuerStoreErrorKind {
        self.kind
    }
}

impl IssuerStoreError {
    pub(super) const fn new(kind: IssuerStoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(super) fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }
}

/// The message of a database error, without the error itself: its `Debug` shows the row that a statement failed on.
impl From<sqlx::Error> for IssuerStoreError {
    fn from(error: sqlx::Error) -> Self {
        let (kind, text) = match &error {
            error if is_of_pooler(error) => (IssuerStoreErrorKind::Configuration, format!("{error}: {POOLER_ADVICE}")),
            sqlx::Error::Configuration(_) => (IssuerStoreErrorKind::Configuration, error.to_string()),
            sqlx::Error::Database(cause) if cause.is_unique_violation() => {
                (IssuerStoreErrorKind::Conflict, error.to_string())
            }
            error => (IssuerStoreErrorKind::Unavailable, error.to_string()),
        };
        Self::new(kind).because(text)
    }
}

impl From<MalformedRecord> for IssuerStoreError {
    fn from(error: MalformedRecord) -> Self {
        Self::new(IssuerStoreErrorKind::Unavailable).because(error)
    }
}

/// Requests are refused with 503, whatever the kind: a client may repeat them.
impl From<IssuerStoreError> for Unavailable {
    fn from(error: IssuerStoreError) -> Self {
        let unavailable = Self::new("the store of the issuer");
        match error.source {
            Some(source) => unavailable.because(Cause(source)),
            None => unavailable.because(error),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(Box<dyn Error + Send + Sync>);

/// A client whose record this version cannot read, because a newer one or a person has written it. Its content is not
/// shown.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the record of client {id:?} is malformed, or of a newer version")]
#[non_exhaustive]
pub struct MalformedClient {
    /// The id of the client.
    pub id: Box<str>,
}

/// A row that is not a valid record of this version. Its content is not shown.
#[derive(Debug, thiserror::Error)]
#[error("the record of {kind} {id:?} is malformed, or of a newer version")]
pub(super) struct MalformedRecord {
    pub(super) kind: &'static str,
    pub(super) id: String,
}
