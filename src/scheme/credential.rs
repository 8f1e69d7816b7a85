use std::fmt;

use http::HeaderName;

/// A credential, borrowed from the request. What it claims is not verified yet.
///
/// # Examples
///
/// ```
/// use tower_warden::scheme::{Credential, CredentialKind};
///
/// let token = Credential::access_token("eyJhbGciOiJFUzI1NiJ9.e30.c2ln");
/// assert_eq!(token.kind(), CredentialKind::AccessToken);
/// assert_eq!(format!("{token:?}"), "AccessToken(..)");
/// ```
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    fields: &'a [HeaderName],
    kind: CredentialKind,
    scheme: &'a str,
    text: &'a str,
}

/// The kind of a credential, by which authenticators accept it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CredentialKind {
    /// An access token, under whatever scheme: `Bearer`, `DPoP`, a header field, a cookie.
    AccessToken,
    /// An API key.
    ApiKey,
    /// The client certificate of the connection.
    Certificate,
    /// A kind of a custom [`Scheme`](super::Scheme).
    Custom(&'static str),
}

impl CredentialKind {
    /// The signature of the request, by which its sender proves that it holds a key.
    pub(crate) const SIGNATURE: Self = Self::Custom("signature");
}

#[cfg(feature = "metrics")]
impl CredentialKind {
    /// A stable word for metrics; that of the method of authentication, where there is only one for the kind.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::ApiKey => "api_key",
            Self::Certificate => "client_certificate",
            Self::Custom(name) => name,
        }
    }
}

impl<'a> Credential<'a> {
    /// A credential of this kind, located by the [scheme](super::Scheme::name) of this name.
    #[must_use]
    pub const fn new(kind: CredentialKind, scheme: &'a str, text: &'a str) -> Self {
        Self { fields: &[], kind, scheme, text }
    }

    /// Sets the header fields that carry it.
    pub(crate) const fn carried_by(mut self, fields: &'a [HeaderName]) -> Self {
        self.fields = fields;
        self
    }

    /// An access token under the scheme `Bearer`; for tests of an authenticator.
    #[must_use]
    pub const fn access_token(text: &'a str) -> Self {
        Self::new(CredentialKind::AccessToken, super::bearer::NAME, text)
    }

    /// An API key in its own header field; for tests of an authenticator.
    #[must_use]
    pub const fn api_key(text: &'a str) -> Self {
        Self::new(CredentialKind::ApiKey, super::api_key_header::NAME, text)
    }

    /// The header fields that carry it, which a signature covers to be a proof of this credential; none if it is in the
    /// request's extensions, or was not located in a request.
    #[must_use]
    pub const fn fields(&self) -> &'a [HeaderName] {
        self.fields
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> CredentialKind {
        self.kind
    }

    /// The name of the scheme that located it.
    #[must_use]
    pub const fn scheme(&self) -> &'a str {
        self.scheme
    }

    /// The credential itself; empty for one that is in the request's extensions, or consists of several header fields.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(..)", self.kind)
    }
}
