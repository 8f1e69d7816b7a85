use std::{error::Error, sync::Arc, time::Duration};

/// A token that could not be obtained, or that must not be sent with a request.
///
/// Neither the text nor the cause contains a token, a secret or a part of a response.
///
/// # Examples
///
/// ```
/// use tower_warden_client::{Token, TokenError, TokenErrorKind};
///
/// let error = Token::bearer("two words").unwrap_err();
/// assert_eq!(error.kind(), TokenErrorKind::Response);
/// assert!(!error.to_string().contains("words"));
/// assert!(Token::bearer("one-word").is_ok());
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct TokenError {
    code: Option<&'static str>,
    kind: TokenErrorKind,
    message: &'static str,
    retry_after: Option<Duration>,
    #[source]
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The kind of a [`TokenError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// The authorization server refused the client or its credentials.
    InvalidClient,
    /// The authorization server refused the grant: a refresh token, an assertion or a subject token.
    InvalidGrant,
    /// The request is for another origin than the declared one. Nothing was sent.
    Origin,
    /// The authorization server refused the request for another reason: see [`TokenError::code`].
    Refused,
    /// The response is not one that contains a usable token.
    Response,
    /// A file or a store could not be read or written.
    Store,
    /// No response in time, or one that states a temporary failure.
    Unavailable,
}

impl TokenError {
    /// An error of a custom source. The message is a fixed text because it reaches logs.
    #[must_use]
    pub const fn new(kind: TokenErrorKind, message: &'static str) -> Self {
        Self { code: None, kind, message, retry_after: None, source: None }
    }

    /// Keeps the cause, which must not contain a secret.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source: Box<dyn Error + Send + Sync> = source.into();
        self.source = Some(source.into());
        self
    }

    /// Sets the delay that the server asks for before the next request.
    #[must_use]
    pub const fn with_retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    pub(crate) const fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> TokenErrorKind {
        self.kind
    }

    /// The error code of the authorization server, if it is a registered one, such as `invalid_scope`.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        self.code
    }

    /// The delay that the server asks for.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}
