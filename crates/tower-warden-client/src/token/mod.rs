//! Tokens, and what is requested of their sources.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use tower_warden::{Digest, UnixTime, scope::Scopes};
use zeroize::Zeroizing;

pub use self::{
    error::{TokenError, TokenErrorKind},
    expiry::unverified_expiry,
    refresh_token::RefreshToken,
    source::{Attempt, Refresh, TokenRequest, TokenSource},
};
pub(crate) use self::{expiry::seconds, source::OwnedRequest};
use crate::dpop::DpopKey;

mod error;
mod expiry;
mod refresh_token;
mod secret;
mod source;

/// A token, or an API key, with what is known about it. Clones are cheap, and the text is wiped with the last one.
///
/// It implements neither `Serialize` nor `Display`, and `Debug` prints no part of the text.
///
/// # Examples
///
/// ```
/// use tower_warden::UnixTime;
/// use tower_warden_client::{Token, TokenKind};
///
/// let token = Token::bearer("at-secret")?.expires_at(UnixTime::from_secs(1_800_000_000));
/// assert_eq!(token.kind(), TokenKind::Bearer);
/// assert!(!format!("{token:?}").contains("at-secret"));
///
/// assert!(Token::bearer("").is_err());
/// assert!(Token::bearer("line\nbreak").is_err());
/// # Ok::<(), tower_warden_client::TokenError>(())
/// ```
#[derive(Clone)]
pub struct Token(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    expires_at: Option<UnixTime>,
    field: HeaderName,
    /// The type that the server states in an exchange.
    issued_type: Option<Box<str>>,
    key: Option<DpopKey>,
    kind: TokenKind,
    refresh: Option<RefreshToken>,
    scopes: Option<Scopes>,
    /// The index in the value at which the token begins.
    start: usize,
    /// The value of the header field. Its buffer is wiped when dropped.
    value: HeaderValue,
}

/// The way in which a token is used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TokenKind {
    /// An API key in a header field of its own, or under a scheme of its own.
    ApiKey,
    /// A token that is exchanged for another one, and never sent to an API.
    Assertion,
    /// A token under `Authorization: Bearer` ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750)).
    Bearer,
    /// A token that is bound to a key ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)).
    Dpop,
}

impl Token {
    /// A bearer token.
    ///
    /// # Errors
    ///
    /// If the text is empty, or has a character other than visible ASCII.
    pub fn bearer(text: &str) -> Result<Self, TokenError> {
        Self::build(TokenKind::Bearer, header::AUTHORIZATION, "Bearer ", text)
    }

    /// An API key, which is the whole value of this header field.
    ///
    /// # Errors
    ///
    /// See [`bearer`](Self::bearer).
    pub fn api_key(field: HeaderName, text: &str) -> Result<Self, TokenError> {
        Self::build(TokenKind::ApiKey, field, "", text)
    }

    /// An API key under a scheme of `Authorization` other than `Bearer`, such as `ApiKey`.
    ///
    /// # Errors
    ///
    /// If the name of the scheme is not a [token](https://www.rfc-editor.org/rfc/rfc9110#section-11.1), or as for
    /// [`bearer`](Self::bearer).
    pub fn api_key_with_scheme(scheme: &str, text: &str) -> Result<Self, TokenError> {
        if !is_scheme(scheme) {
            return Err(TokenError::new(TokenErrorKind::Response, "the name of a scheme is a token of HTTP"));
        }
        Self::build(TokenKind::ApiKey, header::AUTHORIZATION, &format!("{scheme} "), text)
    }

    /// A token that is exchanged for another one.
    ///
    /// # Errors
    ///
    /// See [`bearer`](Self::bearer).
    pub fn assertion(text: &str) -> Result<Self, TokenError> {
        Self::build(TokenKind::Assertion, header::AUTHORIZATION, "", text)
    }

    /// A token that is bound to this key.
    ///
    /// # Errors
    ///
    /// See [`bearer`](Self::bearer).
    pub fn dpop(text: &str, key: DpopKey) -> Result<Self, TokenError> {
        let mut token = Self::build(TokenKind::Dpop, header::AUTHORIZATION, "DPoP ", text)?;
        Arc::make_mut(&mut token.0).key = Some(key);
        Ok(token)
    }

    /// Sets the time of its expiry.
    #[must_use]
    pub fn expires_at(mut self, time: UnixTime) -> Self {
        Arc::make_mut(&mut self.0).expires_at = Some(time);
        self
    }

    /// Attaches the refresh token that was issued with it. [`RefreshGrant`](crate::grant::RefreshGrant) takes it off
    /// and stores it.
    #[must_use]
    pub fn with_refresh_token(mut self, refresh: RefreshToken) -> Self {
        Arc::make_mut(&mut self.0).refresh = Some(refresh);
        self
    }

    /// Sets the scopes that were granted.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Scopes) -> Self {
        Arc::make_mut(&mut self.0).scopes = Some(scopes);
        self
    }

    /// The time of its expiry, if the server has stated it.
    #[must_use]
    pub fn expiry(&self) -> Option<UnixTime> {
        self.0.expires_at
    }

    /// The text of the token, without the name of a scheme.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.value.to_str().ok().and_then(|value| value.get(self.0.start..)).unwrap_or_default()
    }

    /// The header field that carries it.
    #[must_use]
    pub fn field(&self) -> &HeaderName {
        &self.0.field
    }

    /// The value of the header field, which is marked as sensitive.
    #[must_use]
    pub fn header_value(&self) -> &HeaderValue {
        &self.0.value
    }

    /// The key that it is bound to.
    #[must_use]
    pub fn key(&self) -> Option<&DpopKey> {
        self.0.key.as_ref()
    }

    /// The way in which it is used.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.0.kind
    }

    /// The refresh token that was issued with it, if it was not taken off.
    #[must_use]
    pub fn refresh_token(&self) -> Option<&RefreshToken> {
        self.0.refresh.as_ref()
    }

    /// The scopes that were granted, if they are known.
    #[must_use]
    pub fn scopes(&self) -> Option<&Scopes> {
        self.0.scopes.as_ref()
    }

    pub(crate) fn with_issued_type(mut self, kind: &str) -> Self {
        Arc::make_mut(&mut self.0).issued_type = Some(kind.into());
        self
    }

    pub(crate) fn issued_type(&self) -> Option<&str> {
        self.0.issued_type.as_deref()
    }

    pub(crate) fn take_refresh_token(&mut self) -> Option<RefreshToken> {
        self.0.refresh.is_some().then(|| Arc::make_mut(&mut self.0).refresh.take()).flatten()
    }

    fn build(kind: TokenKind, field: HeaderName, scheme: &str, text: &str) -> Result<Self, TokenError> {
        let malformed = || TokenError::new(TokenErrorKind::Response, "a token is visible ASCII without spaces");
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed());
        }
        let mut value = Zeroizing::new(Vec::with_capacity(scheme.len() + text.len()));
        value.extend_from_slice(scheme.as_bytes());
        value.extend_from_slice(text.as_bytes());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(value)).map_err(|_| malformed())?;
        value.set_sensitive(true);
        let start = scheme.len();
        Ok(Self(Arc::new(Inner {
            expires_at: None,
            field,
            issued_type: None,
            key: None,
            kind,
            refresh: None,
            scopes: None,
            start,
            value,
        })))
    }
}

/// Returns whether a text is the name of a scheme: a token of RFC 9110 §5.6.2.
pub(crate) fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
impl Token {
    /// Returns whether there is no other reference to it.
    pub(crate) fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

/// Compares the texts, in constant time.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        let digest = |token: &Self| Digest::of(token.expose().as_bytes());
        Arc::ptr_eq(&self.0, &other.0) || digest(self) == digest(other)
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("kind", &self.0.kind)
            .field("expires_at", &self.0.expires_at)
            .field("scopes", &self.0.scopes)
            .finish_non_exhaustive()
    }
}
