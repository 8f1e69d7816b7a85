//! The authenticator: introspects a token, and caches the result.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use super::{
    builder::{ClientCredentials, IntrospectionBuilder},
    endpoint::Endpoint,
    response::ResponseRules,
    signed::SignedResponses,
};
use crate::{
    Eventual,
    auth::{Authenticator, Presented},
    cache::{CachedLookup, Outcome, Tagged},
    caller::Identity,
    error::ConfigError,
    jwt::{self, Issuer},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scheme::{Bearer, Credential, CredentialKind, MAX_CREDENTIAL_BYTES, Scheme},
    time::UnixTime,
};

/// Verifies access tokens by introspection at their issuer, [RFC 7662](https://www.rfc-editor.org/rfc/rfc7662).
///
/// By default, active tokens are cached for 60 seconds, refused ones for 10 seconds, and failures not at all. At `exp`, the
/// issuer is queried again: its clock may be behind by the tolerated skew. Clones share the cache. See the [module docs](super).
#[derive(Clone)]
pub struct Introspection(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) accepted: AcceptedTokens,
    pub(super) endpoint: Endpoint,
    pub(super) lookup: Arc<CachedLookup<ActiveToken>>,
    pub(super) max_token_bytes: usize,
    pub(super) rules: ResponseRules,
    pub(super) signed: Option<SignedResponses>,
}

/// The identity of an active token.
#[derive(Clone, Debug)]
pub(super) struct ActiveToken {
    identity: Arc<Identity>,
    /// The second from which on the response is not used again.
    until: Option<UnixTime>,
}

impl ActiveToken {
    /// The token of a response that was received at this time.
    ///
    /// RFC 7662 §4: a response is not used beyond `exp`, so the issuer is queried again then. If it still reports the token
    /// as active, its clock is behind, and that response is used for the tolerated clock skew.
    pub(super) fn new(identity: Identity, now: UnixTime) -> Self {
        let until = identity.expires_at.map(|end| if now < end { end } else { end + identity.skew });
        Self { identity: Arc::new(identity), until }
    }
}

/// The tokens that are introspected.
#[derive(Clone, Copy, Debug)]
pub(super) enum AcceptedTokens {
    All,
    /// Those that do not have the form of a JWT.
    OpaqueOnly,
}

impl Introspection {
    /// Creates an authenticator that introspects tokens at `endpoint` with this client id and secret, with the defaults of
    /// [`IntrospectionBuilder`].
    ///
    /// # Errors
    ///
    /// See [`IntrospectionBuilder::build`].
    pub fn new(issuer: Issuer, endpoint: &str, client_id: &str, secret: &str) -> Result<Self, ConfigError> {
        Self::builder(issuer, endpoint, client_id, secret).build()
    }

    /// Returns a builder for an authenticator that introspects tokens at `endpoint` with this client id and secret.
    pub fn builder(issuer: Issuer, endpoint: &str, client_id: &str, secret: &str) -> IntrospectionBuilder {
        IntrospectionBuilder::new(issuer, endpoint, ClientCredentials::Secret { client_id, secret })
    }

    /// Returns a builder for an authenticator that introspects tokens at `endpoint` without client credentials, as the admin
    /// endpoint of Ory Hydra accepts it.
    ///
    /// RFC 7662 §2.1 requires credentials: any client that reaches an endpoint without them can try tokens, and learns to whom
    /// they belong.
    pub fn danger_without_credentials(issuer: Issuer, endpoint: &str) -> IntrospectionBuilder {
        IntrospectionBuilder::new(issuer, endpoint, ClientCredentials::None)
    }
}

impl Authenticator for Introspection {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(Bearer::default())]
    }

    fn max_credential_bytes(&self) -> usize {
        self.0.max_token_bytes.max(MAX_CREDENTIAL_BYTES)
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        credential.kind() == CredentialKind::AccessToken && self.0.accepted.contains(credential.text())
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        if !self.accepts(&presented.credential) {
            return refuse(Reason::CREDENTIAL_KIND);
        }
        let token = presented.credential.text();
        if token.len() > self.0.max_token_bytes {
            return refuse(Reason::TOKEN_TOO_LONG);
        }
        let arrival = presented.arrival();
        match presented.cached(self.0.lookup.cache(), || Ok(())) {
            Ok(Ok(active)) => Eventual::Now(Ok(active.identity)),
            Ok(Err(reason)) => refuse(reason),
            Err(digest) => {
                let (inner, token) = (Arc::clone(&self.0), Arc::<str>::from(token));
                let began = Instant::now();
                let look_up = move || Arc::clone(&inner).look_up(Arc::clone(&token), arrival.now, began);
                self.0.lookup.load(digest, arrival, look_up, |active| active.identity)
            }
        }
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.0.lookup.observed_by(observer);
    }
}

impl Inner {
    /// The outcome for a request that arrived at this time and instant.
    async fn look_up(self: Arc<Self>, token: Arc<str>, now: UnixTime, began: Instant) -> Outcome<ActiveToken> {
        let body = match (self.endpoint.introspect(&token).await, &self.signed) {
            // The response is signed later than the request arrived.
            (Ok(body), Some(signed)) => signed.open(&body, &self.rules.issuer, now + began.elapsed()).await,
            (body, _) => body,
        };
        match body {
            Ok(body) => self.rules.evaluate(&body, now),
            Err(outcome) => outcome,
        }
    }
}

impl AcceptedTokens {
    fn contains(self, token: &str) -> bool {
        match self {
            Self::All => true,
            Self::OpaqueOnly => !jwt::is_compact(token),
        }
    }
}

impl Tagged for ActiveToken {
    fn tag(&self) -> &str {
        self.identity.issuer.as_deref().unwrap_or_default()
    }

    fn size(&self) -> usize {
        self.identity.size_in_memory()
    }

    fn is_current(&self, now: UnixTime) -> bool {
        self.until.is_none_or(|end| now < end)
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("lookup", &self.0.lookup)
            .field("endpoint", &self.0.endpoint)
            .field("issuer", &self.0.rules.issuer)
            .finish_non_exhaustive()
    }
}

fn refuse<T>(reason: Reason) -> Eventual<Result<T, Rejection>> {
    Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, reason)))
}
