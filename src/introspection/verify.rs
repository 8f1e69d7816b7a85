//! From a token to an identity.

use std::{fmt, sync::Arc};

use super::{answer::Rules, builder::IntrospectionBuilder, endpoint::Endpoint};
use crate::{
    Eventual,
    auth::{Authenticator, Presented},
    cache::{CachedLookup, Outcome, Tagged},
    caller::Identity,
    digest::Digest,
    error::ConfigError,
    jwt::{self, Issuer},
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
    pub(super) endpoint: Endpoint,
    pub(super) form: Form,
    pub(super) lookup: Arc<CachedLookup<Active>>,
    pub(super) rules: Rules,
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
        match self.0.lookup.cache().get(&digest, now) {
            Some(Ok(Active(identity))) => Eventual::Now(Ok(identity)),
            Some(Err(reason)) => refuse(reason),
            None => {
                let (inner, token) = (Arc::clone(&self.0), Arc::<str>::from(token));
                let look_up = move || Arc::clone(&inner).look_up(Arc::clone(&token), now);
                self.0.lookup.load(digest, now, look_up, |Active(identity)| identity)
            }
        }
    }
}

impl Inner {
    async fn look_up(self: Arc<Self>, token: Arc<str>, now: UnixTime) -> Outcome<Active> {
        match self.endpoint.ask(&token).await {
            Ok(body) => self.rules.judge(&body, now),
            Err(outcome) => outcome,
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
            .field("lookup", &self.0.lookup)
            .field("endpoint", &self.0.endpoint)
            .field("issuer", &self.0.rules.issuer)
            .finish_non_exhaustive()
    }
}

fn refuse<T>(reason: Reason) -> Eventual<Result<T, Rejection>> {
    Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, reason)))
}
