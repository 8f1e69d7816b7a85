//! From a token to an identity.

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::{answer::Rules, builder::IntrospectionBuilder, endpoint::Endpoint};
use crate::{
    Eventual,
    auth::{Authenticator, Presented},
    cache::{FencedCache, Outcome, Tagged},
    caller::Identity,
    digest::Digest,
    error::ConfigError,
    jwt::{self, Issuer},
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scheme::{Bearer, Credential, CredentialKind, Scheme},
    time::UnixTime,
};

/// Asks the issuer about access tokens, RFC 7662.
///
/// What it says is remembered: that a token is active for 60 seconds and never past its `exp`, that it is not for 10, that
/// it did not answer never. Clones share everything. See the [module docs](super).
#[derive(Clone)]
pub struct Introspection(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) cache: Arc<FencedCache<Active>>,
    pub(super) endpoint: Endpoint,
    pub(super) form: Form,
    /// So many look-ups at once.
    pub(super) look_ups: Semaphore,
    pub(super) rules: Rules,
    pub(super) timeout: Duration,
}

/// A token that is active.
#[derive(Clone, Debug)]
pub(super) struct Active(pub(super) Arc<Identity>);

/// Which tokens are asked about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Any,
    Opaque,
}

impl Introspection {
    /// Tokens of an issuer whose `endpoint` is asked by a client of this id and secret, with the defaults of
    /// [`IntrospectionBuilder`].
    ///
    /// # Errors
    ///
    /// As [`IntrospectionBuilder::build`].
    pub fn new(issuer: Issuer, endpoint: &str, client_id: &str, secret: &str) -> Result<Self, ConfigError> {
        Self::builder(issuer, endpoint, client_id, secret).build()
    }

    /// The same, to be set up.
    pub fn builder(issuer: Issuer, endpoint: &str, client_id: &str, secret: &str) -> IntrospectionBuilder {
        IntrospectionBuilder::new(issuer, endpoint, client_id, secret)
    }
}

impl Authenticator for Introspection {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(Bearer::default())]
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        credential.kind() == CredentialKind::AccessToken && self.0.form.fits(credential.text())
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        if !self.accepts(&presented.credential) {
            return refuse(Reason::CREDENTIAL_KIND);
        }
        let token = presented.credential.text();
        let (digest, now) = (Digest::of(token.as_bytes()), presented.now);
        match self.0.cache.get(&digest, now) {
            Some(Ok(Active(identity))) => Eventual::Now(Ok(identity)),
            Some(Err(reason)) => refuse(reason),
            None => {
                let (inner, token) = (Arc::clone(&self.0), Arc::<str>::from(token));
                let (cache, timeout) = (Arc::clone(&inner.cache), inner.timeout);
                let look_up = move || Arc::clone(&inner).look_up(Arc::clone(&token), now);
                // The endpoint. Who has to begin again has no more time than others.
                Eventual::later(async move {
                    let loaded = tokio::time::timeout(timeout, cache.load(digest, now, look_up)).await;
                    loaded.unwrap_or_else(|_| late()).verdict().map(|Active(identity)| identity)
                })
            }
        }
    }
}

impl Inner {
    async fn look_up(self: Arc<Self>, token: Arc<str>, now: UnixTime) -> Outcome<Active> {
        let asked = async {
            // Never closed. Who waits here too long is told the same as if the endpoint were slow.
            let _permit = self.look_ups.acquire().await;
            self.endpoint.ask(&token).await
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(Ok(body)) => self.rules.judge(&body, now),
            Ok(Err(outcome)) => outcome,
            Err(_) => late(),
        }
    }
}

impl Form {
    fn fits(self, token: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Opaque => !jwt::is_compact(token),
        }
    }
}

impl Tagged for Active {
    fn tag(&self) -> &str {
        self.0.issuer.as_deref().unwrap_or_default()
    }

    /// RFC 7662 §4: an answer is not kept beyond `exp`, whatever clocks may differ by.
    fn is_current(&self, now: UnixTime) -> bool {
        self.0.expires_at.is_none_or(|end| now < end)
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("cache", &self.0.cache)
            .field("endpoint", &self.0.endpoint)
            .field("issuer", &self.0.rules.issuer)
            .finish_non_exhaustive()
    }
}

fn late() -> Outcome<Active> {
    log::warning!("an introspection endpoint did not answer in time; the request is answered with 503");
    Outcome::Down(Reason::INTROSPECTION_TIMEOUT)
}

fn refuse<T>(reason: Reason) -> Eventual<Result<T, Rejection>> {
    Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, reason)))
}
