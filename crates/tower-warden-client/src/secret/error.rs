use std::{error::Error, fmt};

/// A secret that cannot be used.
///
/// The message names the secret, such as its variable or file, and never contains its value.
///
/// # Examples
///
/// ```
/// use tower_warden_client::secret::{EnvironmentSecrets, SecretErrorKind, SecretSource};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let secrets = EnvironmentSecrets::of([("BILLING_API_KEY", "sk_live_0123456789abcdef")]);
/// assert!(secrets.get("BILLING_API_KEY").wait().await.is_ok());
///
/// let error = secrets.get("REPORTS_API_KEY").wait().await.unwrap_err();
/// assert_eq!(error.kind(), SecretErrorKind::Missing);
/// assert_eq!(error.to_string(), "REPORTS_API_KEY: the variable is not set");
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct SecretError {
    kind: SecretErrorKind,
    name: Quoted,
    problem: &'static str,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kind of a [`SecretError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SecretErrorKind {
    /// The same secret, or the same service, is declared twice.
    Duplicate,
    /// The value does not have the required form.
    Format,
    /// There is no secret of this name.
    Missing,
    /// The name is not one that the source could have.
    Name,
    /// The source does not respond, or cannot be read.
    Unavailable,
}

impl SecretError {
    /// Creates an error. The text is fixed because it reaches logs.
    #[must_use]
    pub fn new(kind: SecretErrorKind, name: impl Into<Box<str>>, problem: &'static str) -> Self {
        Self { kind, name: Quoted(name.into()), problem, source: None }
    }

    /// Keeps the cause, for the log. It must not quote the secret.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Names something else in place of the secret.
    pub(crate) fn renamed(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Quoted(name.into());
        self
    }

    /// The kind of the error.
    #[must_use]
    pub const fn kind(&self) -> SecretErrorKind {
        self.kind
    }

    /// The name of the secret: a variable, a file, a path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name.0
    }
}

/// A name, on one line of a log.
#[derive(Debug)]
struct Quoted(Box<str>);

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_debug())
    }
}
