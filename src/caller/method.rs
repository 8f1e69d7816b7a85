/// The method by which a caller authenticated.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AuthMethod {
    /// An API key.
    ApiKey,
    /// A client certificate alone.
    ClientCertificate,
    /// A credential of a custom authenticator.
    Custom(&'static str),
    /// A token that was introspected ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)).
    Introspection,
    /// A JWT access token.
    Jwt,
    /// The signature of the request ([RFC 9421](https://www.rfc-editor.org/rfc/rfc9421)).
    Signature,
}

impl AuthMethod {
    /// A stable word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::ClientCertificate => "client_certificate",
            Self::Custom(name) => name,
            Self::Introspection => "introspection",
            Self::Jwt => "jwt",
            Self::Signature => "signature",
        }
    }
}

/// A party that acts for the subject ([RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1)).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Actor {
    /// The issuer of the actor's name, if it is not the issuer of the token.
    pub issuer: Option<Box<str>>,
    /// The subject of the actor.
    pub subject: Box<str>,
}

impl Actor {
    /// An actor with this name.
    #[must_use]
    pub fn new(subject: impl Into<Box<str>>) -> Self {
        Self { issuer: None, subject: subject.into() }
    }
}
