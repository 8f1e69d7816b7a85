//! The verification of a presented key.

use std::sync::{Arc, Weak};

use super::{
    digest::KeyDigest,
    format::MAX_LENGTH,
    keys::{ApiKeys, Inner},
    record::KeyRecord,
};
use crate::{
    Eventual,
    auth::{Authenticator, Presented},
    cache::{Failure, Outcome, Tagged},
    caller::{AuthMethod, Identity, Recheck},
    digest::Digest,
    error::Unavailable,
    log::Causes,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scheme::{ApiKeyHeader, Bearer, Credential, CredentialKind, Scheme},
    time::{Arrival, UnixTime},
};

impl Authenticator for ApiKeys {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(ApiKeyHeader::default()), Arc::new(Bearer::default())]
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        key(credential).is_some_and(|key| self.0.formats.iter().any(|format| format.matches_prefix(key)))
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let Some(key) = key(&presented.credential) else {
            return refuse(Reason::CREDENTIAL_NOT_ACCEPTED);
        };
        if key.len() > MAX_LENGTH {
            return refuse(Reason::KEY_TOO_LONG);
        }
        // A key that was accepted has passed the check of its format.
        let cached = presented.cached(self.0.lookup.cache(), || self.0.check_format(key));
        self.0.find(cached, presented.arrival(), |digest| self.0.hashing.candidates(key, digest).into())
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.0.lookup.observed_by(observer);
    }
}

/// Looks a verified key up again: from the cache, in which a revoked key is not found.
struct KeyRecheck {
    /// Weak: the cache has the identity, which has this.
    inner: Weak<Inner>,
    digest: Digest,
    candidates: Arc<[KeyDigest]>,
}

impl Recheck for KeyRecheck {
    fn recheck(&self, _: UnixTime) -> Eventual<Result<Option<Arc<Identity>>, Rejection>> {
        let Some(inner) = self.inner.upgrade() else {
            return Eventual::Now(Err(Rejection::new(RejectionKind::Unavailable, Reason::KEY_STORE_UNAVAILABLE)));
        };
        let arrival = Arrival::read(&*inner.clock);
        let cached = inner.lookup.cache().get(&self.digest, arrival).ok_or(self.digest);
        inner.find(cached, arrival, |_| Arc::clone(&self.candidates)).map(|found| found.map(Some))
    }
}

impl Inner {
    /// Checks a key by the format with the longest prefix that matches.
    fn check_format(&self, key: &str) -> Result<(), Reason> {
        let formats = self.formats.iter().filter(|format| format.matches_prefix(key));
        formats.max_by_key(|format| format.prefix().len()).ok_or(Reason::KEY_PREFIX)?.check(key)
    }

    /// The identity of a key: what is cached of it, or by a look-up that it shares with other requests.
    fn find(
        self: &Arc<Self>,
        cached: Result<Result<Arc<Identity>, Reason>, Digest>,
        arrival: Arrival,
        candidates: impl FnOnce(Digest) -> Arc<[KeyDigest]>,
    ) -> Eventual<Result<Arc<Identity>, Rejection>> {
        match cached {
            Ok(Ok(identity)) => Eventual::Now(Ok(identity)),
            Ok(Err(reason)) => refuse(reason),
            Err(digest) => {
                let (inner, candidates) = (Arc::clone(self), candidates(digest));
                let look_up = move || Arc::clone(&inner).look_up(digest, Arc::clone(&candidates));
                self.lookup.load(digest, arrival, look_up, |identity| identity)
            }
        }
    }

    async fn look_up(self: Arc<Self>, digest: Digest, candidates: Arc<[KeyDigest]>) -> Outcome<Arc<Identity>> {
        match self.find_stored(&candidates).await {
            Ok(Some(record)) => {
                let recheck = KeyRecheck { inner: Arc::downgrade(&self), digest, candidates };
                self.verify(&record, recheck)
            }
            Ok(None) => Outcome::Refused(Reason::KEY_UNKNOWN),
            Err(error) => Outcome::Down(Failure::new(Reason::KEY_STORE_UNAVAILABLE, Causes(&error))),
        }
    }

    async fn find_stored(&self, candidates: &[KeyDigest]) -> Result<Option<Arc<KeyRecord>>, Unavailable> {
        for candidate in candidates {
            let record = self.store.find(candidate).wait().await?;
            // Compared here, in constant time: a store may compare differently, for example by collation.
            if let Some(record) = record.filter(|record| record.digest == *candidate) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn verify(&self, record: &KeyRecord, recheck: KeyRecheck) -> Outcome<Arc<Identity>> {
        if !self.is_of_tenant(record) {
            return Outcome::Refused(Reason::TENANT_MISMATCH);
        }
        if record.revoked_at.is_some() {
            return Outcome::Refused(Reason::KEY_REVOKED);
        }
        Outcome::Found(Arc::new(Identity { recheck: Some(Arc::new(recheck)), ..self.identity(record) }))
    }

    fn identity(&self, record: &KeyRecord) -> Identity {
        let metadata = record.metadata.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        Identity {
            confirmation: record.confirmation.clone(),
            expires_at: record.valid_until(),
            issued_at: Some(record.created_at),
            key_id: Some(record.id.as_str().into()),
            metadata: metadata.collect(),
            networks: record.networks.clone(),
            on_admission: Some(Arc::new(self.usage.key(record.id.clone()))),
            scopes: record.scopes.clone(),
            tenant: record.tenant.as_deref().map(Into::into),
            tier: record.tier.as_deref().map(Into::into),
            ..Identity::new(record.owner.as_str(), AuthMethod::ApiKey)
        }
    }
}

impl Tagged for Arc<Identity> {
    fn tag(&self) -> &str {
        self.key_id.as_deref().unwrap_or_default()
    }

    fn size(&self) -> usize {
        self.size_in_memory()
    }
}

/// The key in a credential of any scheme.
const fn key<'a>(credential: &Credential<'a>) -> Option<&'a str> {
    match credential.kind() {
        CredentialKind::AccessToken | CredentialKind::ApiKey => Some(credential.text()),
        CredentialKind::Certificate | CredentialKind::Custom(_) => None,
    }
}

fn refuse<T>(reason: Reason) -> Eventual<Result<T, Rejection>> {
    Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, reason)))
}
