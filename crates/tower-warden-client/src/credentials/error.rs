use std::{error::Error, fmt};

use tower_warden::ConfigError;

use super::config::Problem;
use crate::{TokenError, secret::SecretError};

/// Credentials that cannot be loaded.
///
/// The message names the service, and contains no secret.
#[derive(Debug)]
pub struct CredentialsError {
    cause: Cause,
    service: Option<Box<str>>,
}

#[derive(Debug)]
enum Cause {
    Config(ConfigError),
    Key(TokenError),
    Problem(Problem),
    Secret(SecretError),
}

/// The kind of a [`CredentialsError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CredentialsErrorKind {
    /// The configuration, or what the application has to provide for it.
    Config,
    /// A secret that is missing, malformed or shared by two services, or whose source does not respond.
    Secret,
}

impl CredentialsError {
    pub(super) fn config(service: &str, error: ConfigError) -> Self {
        Self { cause: Cause::Config(error), service: Some(service.into()) }
    }

    pub(super) fn environment(error: ConfigError) -> Self {
        Self { cause: Cause::Config(error), service: None }
    }

    pub(super) fn key(service: &str, error: TokenError) -> Self {
        Self { cause: Cause::Key(error), service: Some(service.into()) }
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> CredentialsErrorKind {
        match self.cause {
            Cause::Config(_) | Cause::Problem(_) => CredentialsErrorKind::Config,
            Cause::Key(_) | Cause::Secret(_) => CredentialsErrorKind::Secret,
        }
    }

    /// The service, if the error is about one.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }
}

impl From<Problem> for CredentialsError {
    fn from(problem: Problem) -> Self {
        Self { cause: Cause::Problem(problem), service: None }
    }
}

impl From<SecretError> for CredentialsError {
    fn from(error: SecretError) -> Self {
        Self { cause: Cause::Secret(error), service: None }
    }
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(service) = &self.service {
            write!(f, "{}: ", service.escape_debug())?;
        }
        match &self.cause {
            Cause::Config(error) => error.fmt(f),
            Cause::Key(error) => error.fmt(f),
            Cause::Problem(problem) => problem.fmt(f),
            Cause::Secret(error) => error.fmt(f),
        }
    }
}

impl Error for CredentialsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Config(error) => error.source(),
            Cause::Key(error) => error.source(),
            Cause::Problem(_) => None,
            Cause::Secret(error) => error.source(),
        }
    }
}
