//! What may fail besides a request: a configuration, and what we depend on.

use std::error::Error;

/// A configuration that was refused at start.
///
/// ```
/// use tower_warden::{ConfigErrorKind, scope::Scope};
///
/// assert_eq!(Scope::parse("a b").unwrap_err().kind(), ConfigErrorKind::Scope);
/// assert!(Scope::parse("a:b").is_ok());
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    kind: ConfigErrorKind,
    message: &'static str,
}

/// Which part of a configuration was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// An audience.
    Audience,
    /// A realm, URL, scope or `acr` value of a challenge.
    Challenge,
    /// What a credential is bound to.
    Confirmation,
    /// What was said of DPoP proofs.
    Dpop,
    /// The HTTP client by which others are asked.
    HttpClient,
    /// An issuer, or what was said of its tokens.
    Issuer,
    /// An id or a digest of a key.
    Key,
    /// The form of a key.
    KeyFormat,
    /// Where keys that verify signatures come from.
    KeySet,
    /// A part of protected resource metadata.
    Metadata,
    /// An IP network.
    Network,
    /// A pepper.
    Pepper,
    /// A quota or a plan.
    Quota,
    /// A scope.
    Scope,
    /// A hierarchy of scopes that is none.
    ScopeCycle,
    /// A key that verifies signatures.
    VerifyingKey,
}

impl ConfigError {
    pub(crate) const fn new(kind: ConfigErrorKind, message: &'static str) -> Self {
        Self { kind, message }
    }

    /// Which part was refused.
    #[must_use]
    pub const fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

/// What we depend on could not answer.
///
/// A request that needs the answer is refused with 503 and Retry-After: never 401, never let through.
#[derive(Debug, thiserror::Error)]
#[error("{what} is unavailable")]
pub struct Unavailable {
    what: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Unavailable {
    /// `what` did not answer; it is a fixed text because it reaches logs.
    #[must_use]
    pub const fn new(what: &'static str) -> Self {
        Self { what, source: None }
    }

    /// Keeps the cause, for the log.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
