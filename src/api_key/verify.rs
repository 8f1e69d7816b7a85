//! From a key to an identity.

use std::sync::Arc;

use super::{
    digest::KeyDigest,
    keys::{ApiKeys, Inner},
    record::KeyRecord,
};
use crate::{
    Eventual,
    auth::{Authenticator, Presented},
    cache::{Outcome, Tagged},
    caller::{AuthMethod, Identity},
    digest::Digest,
    error::Unavailable,
    log::{self, Causes},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scheme::{ApiKeyHeader, Bearer, Credential, CredentialKind, Scheme},
};

impl Authenticator for ApiKeys {
    fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
        vec![Arc::new(ApiKeyHeader::default()), Arc::new(Bearer::default())]
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        key(credential).is_some_and(|key| self.0.formats.iter().any(|format| format.claims(key)))
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let Some(key) = key(&presented.credential) else {
            return Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, Reason::CREDENTIAL_NOT_ACCEPTED)));
        };
        if let Err(reason) = self.0.check(key) {
            return Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, reason)));
        }
        let (digest, now) = (Digest::of(key.as_bytes()), presented.now);
        match self.0.cache.get(&digest, now) {
            Some(Ok(identity)) => Eventual::Now(Ok(identity)),
            Some(Err(reason)) => Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, reason))),
            None => {
                let inner = Arc::clone(&self.0);
                let candidates: Arc<[_]> = inner.hashing.candidates(key, digest).into();
                let cache = Arc::clone(&inner.cache);
                let look_up = move || Arc::clone(&inner).look_up(Arc::clone(&candidates));
                let timeout = self.0.timeout;
                // The store. Who has to begin again has no more time than others.
                Eventual::later(async move {
                    let loaded = tokio::time::timeout(timeout, cache.load(digest, now, look_up)).await;
                    loaded.unwrap_or_else(|_| late()).verdict()
                })
            }
        }
    }
}

impl Inner {
    /// What can be said of a key without a look-up: the format with the longest prefix that fits decides.
    fn check(&self, key: &str) -> Result<(), Reason> {
        let formats = self.formats.iter().filter(|format| format.claims(key));
        formats.max_by_key(|format| format.prefix().len()).ok_or(Reason::KEY_PREFIX)?.check(key)
    }

    async fn look_up(self: Arc<Self>, candidates: Arc<[KeyDigest]>) -> Outcome<Arc<Identity>> {
        let found = async {
            // Never closed. Who waits here too long is told the same as if the store were slow, which it is.
            let _permit = self.look_ups.acquire().await;
            self.find(&candidates).await
        };
        match tokio::time::timeout(self.timeout, found).await {
            Ok(Ok(Some(record))) => self.judge(&record),
            Ok(Ok(None)) => Outcome::Refused(Reason::KEY_UNKNOWN),
            Ok(Err(error)) => {
                log::warning!(error = %Causes(&error), "a key could not be looked up; the request is answered with 503");
                Outcome::Down(Reason::KEY_STORE_UNAVAILABLE)
            }
            Err(_) => late(),
        }
    }

    async fn find(&self, candidates: &[KeyDigest]) -> Result<Option<Arc<KeyRecord>>, Unavailable> {
        for candidate in candidates {
            let record = self.store.find(candidate).wait().await?;
            // Not left to the store: it may compare in its own way.
            if let Some(record) = record.filter(|record| record.digest == *candidate) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn judge(&self, record: &KeyRecord) -> Outcome<Arc<Identity>> {
        if !self.owns(record) {
            return Outcome::Refused(Reason::TENANT_MISMATCH);
        }
        if record.revoked_at.is_some() {
            return Outcome::Refused(Reason::KEY_REVOKED);
        }
        Outcome::Found(Arc::new(self.identity(record)))
    }

    fn identity(&self, record: &KeyRecord) -> Identity {
        let metadata = record.metadata.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        Identity {
            confirmation: record.confirmation.clone(),
            expires_at: record.ends_at(),
            issued_at: Some(record.created_at),
            key_id: Some(record.id.as_str().into()),
            metadata: metadata.collect(),
            networks: record.networks.clone(),
            on_admission: Some(Arc::new(self.ledger.open(record.id.clone()))),
            scopes: record.scopes.clone(),
            tenant: record.tenant.as_deref().map(Into::into),
            tier: record.tier.as_deref().map(Into::into),
            ..Identity::new(record.owner.as_str(), AuthMethod::ApiKey)
        }
    }
}

/// The key that is presented, under whatever scheme.
const fn key<'a>(credential: &Credential<'a>) -> Option<&'a str> {
    match credential.kind() {
        CredentialKind::AccessToken | CredentialKind::ApiKey => Some(credential.text()),
        CredentialKind::Certificate | CredentialKind::Custom(_) => None,
    }
}

impl Tagged for Arc<Identity> {
    fn tag(&self) -> &str {
        self.key_id.as_deref().unwrap_or_default()
    }
}

fn late() -> Outcome<Arc<Identity>> {
    log::warning!("a key was not looked up in time; the request is answered with 503");
    Outcome::Down(Reason::KEY_STORE_TIMEOUT)
}
