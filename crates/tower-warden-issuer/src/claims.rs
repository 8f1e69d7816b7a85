//! The claims that an application adds to access tokens.

use std::fmt;

use serde_json::{Map, Value, json};
use tower_warden::{
    ConfigError, Eventual, Identity, Unavailable,
    caller::{Actor, Confirmation},
    scope::Scopes,
};

use crate::GrantType;

/// The token that claims are requested for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ClaimsRequest<'a> {
    /// The parties that act for the subject, the current one first: `act`. Empty if the subject acts itself.
    pub actors: &'a [Actor],
    /// The client that the token is issued to.
    pub client_id: &'a str,
    /// The key or certificate that the token is bound to: `cnf`.
    pub confirmation: Option<&'a Confirmation>,
    /// The grant.
    pub grant: GrantType,
    /// The verified credential that the token is issued for: an API key, or the subject token or assertion of another
    /// issuer or this one, with its own claims.
    pub presented: Option<&'a Identity>,
    /// The resource that the token is for: `aud`.
    pub resource: &'a str,
    /// The scopes that are granted.
    pub scopes: &'a Scopes,
    /// The session that the token can be revoked with: `sid`. It is that of a refresh token or an authorization code, and of
    /// what is exchanged for its access tokens.
    pub session_id: Option<&'a str>,
    /// The subject: the client itself for client credentials.
    pub subject: &'a str,
}

/// Claims that are added to an access token, such as tenant, organisation, roles and tier.
///
/// # Examples
///
/// ```
/// use tower_warden_issuer::ExtraClaims;
///
/// let claims = ExtraClaims::default().with("tenant", "acme")?.with("roles", vec!["buyer"])?;
/// assert!(claims.with("aud", "https://other.example.com").is_err(), "the issuer decides about it");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct ExtraClaims(Map<String, Value>);

impl ExtraClaims {
    /// Adds a claim, or replaces the one with this name.
    ///
    /// # Errors
    ///
    /// If the issuer decides about the claim: `iss`, `sub`, `aud`, `exp`, `iat`, `nbf`, `jti`, `client_id`, `azp`, `appid`,
    /// `cid`, `scope`, `scp`, `scopes`, `cnf`, `act`, `may_act`, `sid`, `acr`, `amr`, `auth_time`, `nonce`. For `may_act`, see
    /// [`may_act`](Self::may_act).
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Result<Self, ConfigError> {
        const RESERVED: [&str; 22] = [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "nbf",
            "jti",
            "client_id",
            "azp",
            "appid",
            "cid",
            "scope",
            "scp",
            "scopes",
            "cnf",
            "act",
            "may_act",
            "sid",
            "acr",
            "amr",
            "auth_time",
            "nonce",
        ];
        if name.is_empty() || RESERVED.contains(&name) {
            return Err(ConfigError::custom("the issuer itself decides about this claim").value(name));
        }
        self.0.insert(name.into(), value.into());
        Ok(self)
    }

    /// Permits a client to act for the subject: it may exchange the token, and no other client may ([RFC 8693
    /// §4.4](https://www.rfc-editor.org/rfc/rfc8693#section-4.4)). A second call replaces the client: the claim names
    /// one. In an exchange, the `may_act` of the subject token is kept instead.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden_issuer::ExtraClaims;
    ///
    /// let claims = ExtraClaims::default().may_act("agent-7");
    /// assert_eq!(format!("{claims:?}"), r#"{"may_act"}"#);
    /// assert!(claims.with("may_act", "agent-8").is_err());
    /// ```
    #[must_use]
    pub fn may_act(mut self, client_id: &str) -> Self {
        self.0.insert("may_act".into(), json!({ "client_id": client_id }));
        self
    }

    pub(crate) fn into_members(self) -> Map<String, Value> {
        self.0
    }
}

/// Prints the names only.
impl fmt::Debug for ExtraClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The reason why there are no claims, and no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// The account is suspended or unknown: `unauthorized_client`, or for a grant that presents another token, the error for an
    /// invalid one.
    #[error("the subject may not have tokens")]
    Refused,
    /// A dependency did not answer: 503.
    #[error("the claims of the subject are unavailable")]
    Unavailable(#[from] Unavailable),
}

/// Yields the claims of a subject, for each token, also at each refresh.
///
/// Closures that return at once implement it.
///
/// # Examples
///
/// ```
/// use tower_warden::Eventual;
/// use tower_warden_issuer::{ClaimsError, ClaimsRequest, ClaimsSource, ExtraClaims};
///
/// /// Claims from a directory that is queried over the network.
/// struct Directory;
///
/// impl ClaimsSource for Directory {
///     fn claims(&self, request: &ClaimsRequest<'_>) -> Eventual<Result<ExtraClaims, ClaimsError>> {
///         let subject = request.subject.to_owned();
///         Eventual::later(async move {
///             match subject.strip_prefix("acme-") {
///                 Some(_) => ExtraClaims::default().with("tenant", "acme").map_err(|_| ClaimsError::Refused),
///                 None => Err(ClaimsError::Refused),
///             }
///         })
///     }
/// }
/// ```
pub trait ClaimsSource: Send + Sync + 'static {
    /// Returns the claims for a token that is about to be issued.
    ///
    /// # Errors
    ///
    /// If the subject may not have tokens, or if that is unknown.
    fn claims(&self, request: &ClaimsRequest<'_>) -> Eventual<Result<ExtraClaims, ClaimsError>>;
}

impl<F> ClaimsSource for F
where
    F: Fn(&ClaimsRequest<'_>) -> Result<ExtraClaims, ClaimsError> + Send + Sync + 'static,
{
    fn claims(&self, request: &ClaimsRequest<'_>) -> Eventual<Result<ExtraClaims, ClaimsError>> {
        Eventual::Now(self(request))
    }
}

/// No claims.
pub(crate) struct NoClaims;

impl ClaimsSource for NoClaims {
    fn claims(&self, _: &ClaimsRequest<'_>) -> Eventual<Result<ExtraClaims, ClaimsError>> {
        Eventual::Now(Ok(ExtraClaims::default()))
    }
}
