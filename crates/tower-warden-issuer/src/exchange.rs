//! The settings of token exchange.

use std::fmt;

use tower_warden::jwt::Jwt;

use crate::Subjects;

/// The settings of token exchange ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)): a client exchanges an access token
/// for one of another resource or with fewer scopes, and acts for its subject.
///
/// # Rules
///
/// 1. The client authenticates, and has the [grant](crate::GrantType::TokenExchange).
/// 2. The subject token is an access token of this issuer, or of one that is [trusted](Self::trust). It has not expired, and is
///    not revoked by the lists of the issuer.
/// 3. The subject token was meant for the client: it was issued to the client, or it is for a resource that the client
///    [serves](crate::Client::serve), or its `may_act` names the client. Any other client has no business with it.
/// 4. An actor token is one that this issuer has issued to the client itself. A token of another party, which the client has
///    received as an API, is refused.
/// 5. The new token has no scope that the subject token lacks, and none that the client may not have. A subject token without
///    scopes yields one without scopes. It expires with the subject token and the actor token, or before.
/// 6. `act` names the current actor and keeps those before it, up to eight
///    ([RFC 8693 §4.1](https://www.rfc-editor.org/rfc/rfc8693#section-4.1)). The client becomes the actor, unless the token was
///    issued to it: it then only narrows what it has already. `may_act` is checked if present, and kept.
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
/// let exchange = TokenExchange::default().trust(partner, Subjects::prefixed("partner:"));
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
    pub(crate) trusted: Option<(Jwt, Subjects)>,
}

impl TokenExchange {
    /// Accepts subject tokens of other issuers, which this verifier accepts, and maps their subjects.
    ///
    /// Their audience is a resource that the client serves. The ids of clients at other issuers are not those of clients here,
    /// so such a token is never one that was issued to the client.
    pub fn trust(mut self, verifier: Jwt, subjects: Subjects) -> Self {
        self.trusted = Some((verifier, subjects));
        self
    }
}

impl fmt::Debug for TokenExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenExchange").field("trusted", &self.trusted.as_ref().map(|(verifier, _)| verifier)).finish()
    }
}
