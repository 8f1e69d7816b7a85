use std::{borrow::Cow, slice};

use http::{Extensions, HeaderName, header};

/// A place at which requests carry a credential.
///
/// # Deployment caveat
///
/// A browser sends cookies with requests that other sites cause. An API that takes a credential from a
/// [`Cookie`](Self::Cookie) needs protection against cross-site requests, such as tower-http's `csrf`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Location {
    /// `Authorization: <scheme> <credential>`. The scheme is matched in any case
    /// ([RFC 9110 §11.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.1)).
    Authorization(Cow<'static, str>),
    /// The value of the cookie with this name.
    Cookie(Cow<'static, str>),
    /// A value that the server put into the request's extensions, such as the certificate of the connection. Used only if
    /// no other location has a credential.
    Extension(fn(&Extensions) -> bool),
    /// These header fields together, such as `Signature` and `Signature-Input`. A request with any line of any of them
    /// carries one credential, which has no [text](super::Credential::text): the authenticator reads the fields from
    /// [`Presented::head`](crate::Presented::head), and limits their length itself.
    Fields(Cow<'static, [HeaderName]>),
    /// The value of the header field with this name. `Authorization` as a whole takes the place of each scheme in it, and is
    /// replaced by a scheme that is added later.
    Header(HeaderName),
    /// The entry of `Sec-WebSocket-Protocol` that begins with this prefix; the credential is the rest of the entry.
    WebSocketProtocol(Cow<'static, str>),
}

impl Location {
    /// `Authorization` with this scheme.
    #[must_use]
    pub fn authorization(scheme: impl Into<Cow<'static, str>>) -> Self {
        Self::Authorization(scheme.into())
    }

    /// The cookie with this name.
    #[must_use]
    pub fn cookie(name: impl Into<Cow<'static, str>>) -> Self {
        Self::Cookie(name.into())
    }

    /// The header field with this name.
    ///
    /// # Panics
    ///
    /// If the name is not a lower-case field name.
    #[must_use]
    pub const fn header(name: &'static str) -> Self {
        Self::Header(HeaderName::from_static(name))
    }

    /// The entry of `Sec-WebSocket-Protocol` with this prefix.
    #[must_use]
    pub fn web_socket_protocol(prefix: impl Into<Cow<'static, str>>) -> Self {
        Self::WebSocketProtocol(prefix.into())
    }

    /// The header fields that carry the credential.
    pub(super) fn fields(&self) -> &[HeaderName] {
        static AUTHORIZATION: [HeaderName; 1] = [header::AUTHORIZATION];
        static COOKIE: [HeaderName; 1] = [header::COOKIE];
        static PROTOCOL: [HeaderName; 1] = [header::SEC_WEBSOCKET_PROTOCOL];
        match self {
            Self::Authorization(_) => &AUTHORIZATION,
            Self::Cookie(_) => &COOKIE,
            Self::Extension(_) => &[],
            Self::Fields(names) => names,
            Self::Header(name) => slice::from_ref(name),
            Self::WebSocketProtocol(_) => &PROTOCOL,
        }
    }

    /// Returns whether one credential may be located at both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cookie(one), Self::Cookie(other)) => one == other,
            (Self::WebSocketProtocol(one), Self::WebSocketProtocol(other)) => {
                one.starts_with(&**other) || other.starts_with(&**one)
            }
            // What the server put there is unknown.
            (Self::Extension(_), Self::Extension(_)) => true,
            // `Authorization` has one scheme.
            _ => self.fields().iter().any(|name| other.fields().contains(name)),
        }
    }

    /// Returns whether both are the same place of a request.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Authorization(one), Self::Authorization(other)) => one.eq_ignore_ascii_case(other),
            (Self::Cookie(one), Self::Cookie(other))
            | (Self::WebSocketProtocol(one), Self::WebSocketProtocol(other)) => one == other,
            (Self::Header(one), Self::Header(other)) => one == other,
            // The field without a scheme, and the credential after one.
            (Self::Authorization(_), Self::Header(name)) | (Self::Header(name), Self::Authorization(_)) => {
                name == header::AUTHORIZATION
            }
            (Self::Fields(one), Self::Fields(other)) => one == other,
            _ => false,
        }
    }
}
