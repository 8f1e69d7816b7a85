//! Failures outside of a request's own: a configuration, a dependency.

use std::{convert::Infallible, error::Error, fmt};

/// The longest value that an error quotes, in characters.
const QUOTED: usize = 120;

/// A configuration that was refused at start.
///
/// It says what would be accepted, and quotes the value that was refused, unless that may be a secret.
///
/// # Examples
///
/// ```
/// use tower_warden::{ConfigErrorKind, scope::Scope};
///
/// let error = Scope::parse("a b").unwrap_err();
/// assert_eq!(error.kind(), ConfigErrorKind::Scope);
/// assert_eq!(error.refused_value(), Some("a b"));
/// assert_eq!(error.to_string(), r#"a scope is visible ASCII without '"' and '\': got "a b""#);
/// assert!(Scope::parse("a:b").is_ok());
/// ```
#[derive(Debug)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    message: &'static str,
    value: Option<Box<str>>,
}

/// The part of a configuration that was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// An audience.
    Audience,
    /// The limits within which request bodies are read.
    BodyLimits,
    /// A realm, URL, scope or `acr` value of a challenge.
    Challenge,
    /// The certificate or key that a credential is bound to.
    Confirmation,
    /// A credential source that shares a location with another one.
    CredentialSource,
    /// A setting of a custom component.
    Custom,
    /// A server that decides policies.
    DecisionPoint,
    /// The detection of abuse, or what a guard refuses for it.
    Detection,
    /// The verification of DPoP proofs.
    Dpop,
    /// The client that sends requests to other servers.
    HttpClient,
    /// An introspection endpoint, or the client credentials for it.
    Introspection,
    /// An issuer, or the rules for its tokens.
    Issuer,
    /// The id or the digest of an API key.
    Key,
    /// The format of API keys.
    KeyFormat,
    /// The source of keys that verify signatures.
    KeySet,
    /// The secret of rate limits in shared stores.
    LimitSecret,
    /// The declaration of an MCP server.
    Mcp,
    /// A member of protected resource metadata.
    Metadata,
    /// The namespace of shared stores.
    Namespace,
    /// An IP network.
    Network,
    /// The form of the signatures of payloads, or a key for them.
    PayloadSignature,
    /// A pepper.
    Pepper,
    /// A policy.
    Policy,
    /// A quota or a set of quotas.
    Quota,
    /// A scope.
    Scope,
    /// A scope hierarchy with a cycle.
    ScopeCycle,
    /// The verification or the making of signatures of messages.
    Signature,
    /// A key that verifies signatures.
    VerifyingKey,
}

impl ConfigError {
    pub(crate) const fn new(kind: ConfigErrorKind, message: &'static str) -> Self {
        Self { kind, message, value: None }
    }

    /// A refused setting of a custom component; the message states what would be accepted.
    #[must_use]
    pub const fn custom(message: &'static str) -> Self {
        Self::new(ConfigErrorKind::Custom, message)
    }

    /// Quotes the refused value, up to 120 characters of it. Never to be called with a secret.
    #[must_use]
    pub fn value(mut self, value: impl fmt::Display) -> Self {
        let text = value.to_string();
        self.value = Some(match text.char_indices().nth(QUOTED) {
            Some((end, _)) => format!("{}…", &text[..end]).into(),
            None => text.into(),
        });
        self
    }

    /// The part that was refused.
    #[must_use]
    pub const fn kind(&self) -> ConfigErrorKind {
        self.kind
    }

    /// The value that was refused, shortened; `None` if it may be a secret, or if something is missing.
    #[must_use]
    pub fn refused_value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)?;
        match &self.value {
            // Control characters are escaped, other characters are not.
            Some(value) if value.chars().any(char::is_control) => write!(f, ": got \"{}\"", value.escape_debug()),
            Some(value) => write!(f, ": got \"{value}\""),
            None => Ok(()),
        }
    }
}

impl Error for ConfigError {}

/// The error of conversions that cannot fail.
impl From<Infallible> for ConfigError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A dependency that could not answer: a store, an issuer, a list.
///
/// A request that needs the answer is refused with 503 and `Retry-After`: never 401, never admitted.
#[derive(Debug, thiserror::Error)]
#[error("{what} is unavailable")]
pub struct Unavailable {
    what: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Unavailable {
    /// The dependency `what` did not answer. It is a fixed text because it reaches logs.
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
