//! The settings of token exchange.

use std::fmt;

use tower_warden::{ConfigError, jwt::Jwt};

use crate::Subjects;

/// The settings of token exchange ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)): a client exchanges an access token
/// for one of another resource or with fewer scopes, and acts for its subject.
///
/// # Rules
///
/// 1. The client authenticates, and has the [grant](crate::GrantType::TokenExchange).
/// 2. The subject token is an access token of this issuer, or of one that is [trusted](Self::trust). It has not expired, and is
///    not revoked by the lists of the issuer. One with `authorization_details`
///    ([RFC 9396](https://www.rfc-editor.org/rfc/rfc9396)) is refused: the new token would not have these limits.
/// 3. The subject token was meant for the client: it was issued to the client, or it is for a resource that the client
///    [serves](crate::Client::serve), or its `may_act` names the client. Any other client has no business with it.
/// 4. An actor token is one that this issuer has issued to the client itself. A token of another party, which the client has
///    received as an API, is refused.
/// 5. The new token has no scope that the subject token lacks, and none that the client may not have. A subject token without
///    scopes yields one without scopes. It expires with the subject token and the actor token, or before.
/// 6. `act` names the current actor and keeps those before it, up to eight ([RFC 8693
///    §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1)). The client becomes the actor, unless the token was
///    issued to it: it then only narrows what it has already. If that token is about another subject, the new one is
///    for the same resource. `may_act` is checked if present, and kept. A token of another issuer that names an actor
///    of this one is refused.
/// 7. The new token is bound to what its request proves. A bound token that was issued to the client needs the proof of its own
///    key or certificate; any other bound token yields no bearer token.
///
/// # Examples
///
/// ```
/// use tower_warden::jwt::{Algorithm, Issuer, Jwt};
/// use tower_warden_issuer::{MemoryClientStore, SigningKeys, Subjects, TokenExchange, TokenIssuer};
///
/// # let partner_keys = SigningKeys::generate(Algorithm::ES256)?;
/// // In production, `Jwt::discover` fetches the keys of the partner.
/// let partner = Jwt::new(Issuer::new("https://login.partner.example", "https://orders.example.com")?, partner_keys);
/// let exchange =
///     TokenExchange::default().trust("https://login.partner.example", partner.clone(), Subjects::prefixed("partner:"))?;
/// let again = exchange.clone().trust("https://login.partner.example", partner, Subjects::unchanged());
/// assert!(again.is_err(), "its subjects are mapped already");
///
/// let (clients, keys) = (MemoryClientStore::default(), SigningKeys::generate(Algorithm::ES256)?);
/// let builder = TokenIssuer::builder("https://auth.example.com", clients.clone(), keys.clone())?;
/// let issuer = builder.token_exchange(exchange).build()?;
/// assert!(issuer.metadata().contains("urn:ietf:params:oauth:grant-type:token-exchange"));
///
/// let without = TokenIssuer::builder("https://auth.example.com", clients, keys)?.build()?;
/// assert!(!without.metadata().contains("token-exchange"));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct TokenExchange {
    trusted: Vec<TrustedTokens>,
}

/// An issuer whose access tokens are accepted, and what verifies them.
#[derive(Clone)]
pub(crate) struct TrustedTokens {
    name: Box<str>,
    pub(crate) subjects: Subjects,
    pub(crate) verifier: Jwt,
}

impl TokenExchange {
    /// Accepts subject tokens of the issuer with this name, which this verifier accepts, and maps its subjects. If the
    /// verifier accepts tokens of further issuers, these are refused, unless they are trusted as well.
    ///
    /// Their audience is a resource that the client serves. The ids of clients at other issuers are not those of clients here,
    /// so such a token is never one that was issued to the client.
    ///
    /// # Errors
    ///
    /// If the name is empty, or that of an issuer that is trusted already.
    pub fn trust(mut self, name: &str, verifier: Jwt, subjects: Subjects) -> Result<Self, ConfigError> {
        if name.is_empty() {
            return Err(ConfigError::custom("an issuer has a name that is not empty"));
        }
        if self.find(name).is_some() {
            return Err(ConfigError::custom("each issuer of subject tokens is trusted once").value(name));
        }
        self.trusted.push(TrustedTokens { name: name.into(), subjects, verifier });
        Ok(self)
    }

    pub(crate) fn find(&self, name: &str) -> Option<&TrustedTokens> {
        self.trusted.iter().find(|trusted| *trusted.name == *name)
    }

    /// Checks that the issuer with this name does not trust itself: it verifies its own tokens by its own keys.
    pub(crate) fn check(&self, own_name: &str) -> Result<(), ConfigError> {
        match self.find(own_name) {
            Some(_) => Err(ConfigError::custom("an issuer does not name itself as one that it trusts").value(own_name)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.trusted.iter().map(|trusted| &trusted.name).collect();
        f.debug_struct("TokenExchange").field("trusted", &names).finish()
    }
}
