//! The attributes of a caller: those that its credential states.

use super::{
    confirmation::Confirmation,
    method::{Actor, AuthMethod},
    principal::Principal,
};
use crate::{request::Network, time::UnixTime};

impl Principal {
    /// The method by which the caller authenticated.
    #[must_use]
    pub fn method(&self) -> AuthMethod {
        self.identity().method
    }

    /// The id of the API key, or of the key that has signed the request; it is not a secret.
    ///
    /// An API key and a key that signs may have the same id: [`method`](Self::method) distinguishes them.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.identity().key_id.as_deref()
    }

    /// The tier, by which rate limits are chosen.
    #[must_use]
    pub fn tier(&self) -> Option<&str> {
        self.identity().tier.as_deref()
    }

    /// The time at which the credential was issued.
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.identity().issued_at
    }

    /// The certificate or key that the credential is bound to; the sender has proved possession.
    #[must_use]
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.identity().confirmation.as_ref()
    }

    /// The time at which the credential expires.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.identity().expires_at
    }

    /// The networks that the caller's own credential is restricted to; any network if empty.
    #[must_use]
    pub fn networks(&self) -> &[Network] {
        &self.identity().networks
    }

    /// The values that the issuer attached to the credential, by name.
    #[must_use]
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.identity().metadata.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value with this name that the issuer attached to the credential.
    #[must_use]
    pub fn metadata_value(&self, name: &str) -> Option<&str> {
        self.identity().metadata.get(name).map(|value| &**value)
    }

    /// The actor, if it is not the subject itself: the outermost `act` of
    /// [RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1), such as the agent that acts for a user.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        self.identity().actors.first()
    }

    /// The actor first, then the actors before it, which are informative only. Empty for API keys.
    #[must_use]
    pub fn actors(&self) -> &[Actor] {
        &self.identity().actors
    }

    /// The issuer of the token; `None` for API keys. A subject is unique only together with its issuer.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.identity().issuer.as_deref()
    }

    /// The audience for which the token was accepted: one of those that its issuer's rules name, or the token's first one if
    /// they accept any. `None` for API keys.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        self.identity().audience.as_deref()
    }

    /// The OAuth client that the token was issued to.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.identity().client_id.as_deref()
    }

    /// The roles of the subject, if the issuer's rules name the claim that holds them.
    #[must_use]
    pub fn roles(&self) -> impl ExactSizeIterator<Item = &str> {
        self.identity().roles.iter().map(|role| &**role)
    }

    pub(crate) fn role_list(&self) -> &[Box<str>] {
        &self.identity().roles
    }

    /// The id of the token: the claim `jti`.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.identity().token_id.as_deref()
    }

    /// The session in which the token was issued: the claim `sid`.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.identity().session_id.as_deref()
    }

    /// The authentication context class: how the subject authenticated to the issuer
    /// ([RFC 9470 §6](https://www.rfc-editor.org/rfc/rfc9470#section-6)).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.identity().acr.as_deref()
    }

    /// The time at which the subject authenticated to the issuer
    /// ([RFC 9470 §6](https://www.rfc-editor.org/rfc/rfc9470#section-6)).
    #[must_use]
    pub fn auth_time(&self) -> Option<UnixTime> {
        self.identity().auth_time
    }

    /// The claims of the token as JSON, an object, byte for byte as issued. `None` for API keys.
    #[must_use]
    pub fn claims(&self) -> Option<&str> {
        self.identity().claims.as_deref()
    }
}
