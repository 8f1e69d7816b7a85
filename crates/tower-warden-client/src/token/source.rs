use std::sync::{Arc, LazyLock};

use tower_warden::{Clock, Eventual, UnixTime, scope::Scopes};

use super::{RefreshToken, Token, TokenError};

/// A source of tokens: a grant, a key, a file, or a [`CachedToken`](crate::CachedToken) around one of these.
///
/// # Examples
///
/// A custom source, which takes tokens from a function of the platform:
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{Eventual, UnixTime};
/// use tower_warden_client::{Token, TokenError, TokenErrorKind, TokenRequest, TokenSource};
///
/// struct Platform(fn() -> Option<String>);
///
/// impl TokenSource for Platform {
///     fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
///         let missing = || TokenError::new(TokenErrorKind::Unavailable, "the platform has no token");
///         let token = (self.0)().ok_or_else(missing).and_then(|text| Token::bearer(&text));
///         Eventual::Now(token.map(|token| token.expires_at(request.now() + Duration::from_secs(300))))
///     }
/// }
///
/// let request = TokenRequest::new(UnixTime::from_secs(1_800_000_000));
/// let Eventual::Now(token) = Platform(|| Some("secret-token".into())).token(&request) else { unreachable!() };
/// assert_eq!(token?.expiry(), Some(UnixTime::from_secs(1_800_000_300)));
/// let Eventual::Now(token) = Platform(|| None).token(&request) else { unreachable!() };
/// assert_eq!(token.unwrap_err().kind(), TokenErrorKind::Unavailable);
/// # Ok::<(), TokenError>(())
/// ```
pub trait TokenSource: Send + Sync + 'static {
    /// Returns a token. Whatever is needed of the request is read before the first `await`.
    ///
    /// # Errors
    ///
    /// If there is none.
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>>;

    /// Reports that a server refused this token. Caches drop it if it is still the current one; by default, nothing
    /// happens.
    fn invalidate(&self, token: &Token) {
        let _ = token;
    }
}

/// The request for a token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TokenRequest<'a> {
    /// The place among the attempts: another one may follow if this one fails.
    pub attempt: Attempt,
    now: Now<'a>,
    /// The scopes that are needed in addition to those that the source is configured with.
    pub scopes: &'a Scopes,
}

/// The current time, or the clock that shows it: most requests are served from a cache that reads a clock itself.
#[derive(Clone, Copy, Debug)]
enum Now<'a> {
    Clock(&'a dyn Clock),
    Time(UnixTime),
}

/// The place of a request among the attempts to obtain a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Attempt {
    /// The request is repeated if it fails for a temporary reason.
    Early,
    /// No attempt follows: what is kept for the end, such as a full login, is done now.
    Last,
}

impl TokenRequest<'static> {
    /// A request without additional scopes, and without further attempts.
    #[must_use]
    pub fn new(now: UnixTime) -> Self {
        Self { attempt: Attempt::Last, now: Now::Time(now), scopes: &NONE }
    }
}

impl<'a> TokenRequest<'a> {
    /// A request at the time of this clock.
    pub(crate) fn by_clock(clock: &'a dyn Clock) -> Self {
        Self { attempt: Attempt::Last, now: Now::Clock(clock), scopes: &NONE }
    }

    /// The current time. It may be read from a clock, so it is read once for a token.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        match self.now {
            Now::Clock(clock) => clock.now(),
            Now::Time(now) => now,
        }
    }

    /// Sets whether another attempt follows.
    #[must_use]
    pub const fn with_attempt(mut self, attempt: Attempt) -> Self {
        self.attempt = attempt;
        self
    }

    /// Sets the scopes that are needed in addition.
    #[must_use]
    pub const fn with_scopes<'b>(self, scopes: &'b Scopes) -> TokenRequest<'b>
    where
        'a: 'b,
    {
        TokenRequest { attempt: self.attempt, now: self.now, scopes }
    }
}

static NONE: LazyLock<Scopes> = LazyLock::new(Scopes::default);

/// The exchange of a refresh token for a new token.
///
/// [`TokenEndpoint`](crate::TokenEndpoint) and [`JsonLogin`](crate::grant::JsonLogin) implement it.
pub trait Refresh: Send + Sync + 'static {
    /// Requests a token. If the server has rotated the refresh token, the new one is
    /// [attached](Token::with_refresh_token).
    ///
    /// # Errors
    ///
    /// Of the kind [`InvalidGrant`](crate::TokenErrorKind::InvalidGrant) if the refresh token is refused.
    fn refresh(&self, refresh: &RefreshToken, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>>;
}

impl<T: TokenSource + ?Sized> TokenSource for Arc<T> {
    fn token(&self, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        (**self).token(request)
    }

    fn invalidate(&self, token: &Token) {
        (**self).invalidate(token);
    }
}

impl<T: Refresh + ?Sized> Refresh for Arc<T> {
    fn refresh(&self, refresh: &RefreshToken, request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        (**self).refresh(refresh, request)
    }
}

/// The parts of a request that a source keeps while it waits.
#[derive(Clone, Debug)]
pub(crate) struct OwnedRequest {
    pub(crate) attempt: Attempt,
    pub(crate) now: UnixTime,
    pub(crate) scopes: Scopes,
}

impl OwnedRequest {
    pub(crate) fn of(request: &TokenRequest<'_>) -> Self {
        Self { attempt: request.attempt, now: request.now(), scopes: request.scopes.clone() }
    }

    pub(crate) const fn as_request(&self) -> TokenRequest<'_> {
        TokenRequest { attempt: self.attempt, now: Now::Time(self.now), scopes: &self.scopes }
    }
}
