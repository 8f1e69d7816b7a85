//! The authenticator, and what an operator does with keys.

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::{
    builder::ApiKeysBuilder,
    digest::{Hashing, KeyDigest},
    format::KeyFormat,
    record::{KeyId, KeyRecord, NewKey},
    secret::KeySecret,
    store::{KeyError, KeyErrorKind, KeyPage, KeyQuery, KeyStore},
    usage::Ledger,
};
use crate::{
    Eventual,
    authenticator::{Authenticator, Presented},
    cache::{FencedCache, Outcome, Tagged},
    credential::Credential,
    digest::Digest,
    error::{ConfigError, Unavailable},
    identity::{AuthMethod, Identity},
    log::{self, Chain},
    rejection::{Rejection, RejectionKind},
    time::Clock,
};

/// Verifies API keys, and mints, rotates and revokes them.
///
/// A key that was seen within 30 seconds is verified without the store. What is changed through this type counts at
/// once on this node, even against a look-up in flight. Clones share everything. See the [module docs](super).
#[derive(Clone)]
pub struct ApiKeys(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) cache: Arc<FencedCache<Arc<Identity>>>,
    pub(super) clock: Arc<dyn Clock>,
    /// The first one mints.
    pub(super) formats: Vec<KeyFormat>,
    pub(super) hashing: Hashing,
    pub(super) ledger: Arc<Ledger>,
    /// So many look-ups at once.
    pub(super) look_ups: Semaphore,
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) tenant: Option<Box<str>>,
    pub(super) timeout: Duration,
}

impl ApiKeys {
    /// Keys of one format, in a store, with the defaults of [`ApiKeysBuilder`].
    #[must_use]
    pub fn new(store: impl KeyStore, format: KeyFormat) -> Self {
        Self::builder(store, format).build()
    }

    /// Keys in a store; the format is that of the keys to be minted.
    pub fn builder(store: impl KeyStore, format: KeyFormat) -> ApiKeysBuilder {
        ApiKeysBuilder::new(Arc::new(store), format)
    }

    /// Makes a key; the secret is nowhere but in what is returned.
    ///
    /// # Errors
    ///
    /// [`Invalid`](KeyErrorKind::Invalid) if the owner is empty, a text is too long, or the key is of another tenant than
    /// [`ApiKeysBuilder::tenant`]; [`Configuration`](KeyErrorKind::Configuration) if the format is opaque;
    /// [`Unavailable`](KeyErrorKind::Unavailable) if the store does not answer.
    pub async fn mint(&self, key: NewKey) -> Result<(KeyRecord, KeySecret), KeyError> {
        let Inner { clock, formats, hashing, store, .. } = &*self.0;
        let now = clock.now();
        let secret = formats[0].generate().map_err(misconfigured)?;
        let id = KeyId::generate(now).map_err(misconfigured)?;
        let record = key.record(id, hashing.newest(secret.expose()), now);
        record.check()?;
        if !self.0.owns(&record) {
            return Err(KeyError::new(KeyErrorKind::Invalid).because("the key is of another tenant"));
        }
        self.in_time(store.insert(record.clone())).await?;
        Ok((record, secret))
    }

    /// Replaces a key by a new one with the same rights, which ends when the old one would have; the old one may be
    /// used for the time of `grace`.
    ///
    /// Give a grace: the new secret is nowhere but in what is returned, and if that is lost on its way, or the store
    /// answers too late, the old key is all that is left to mint another one with.
    ///
    /// # Errors
    ///
    /// [`NotFound`](KeyErrorKind::NotFound) if there is no such key, [`Inactive`](KeyErrorKind::Inactive) if it was
    /// revoked or replaced already or has expired, [`Configuration`](KeyErrorKind::Configuration) if the format is
    /// opaque, [`Unavailable`](KeyErrorKind::Unavailable) if the store does not answer: then it is unknown whether the
    /// key was replaced.
    pub async fn rotate(&self, id: &KeyId, grace: Duration) -> Result<(KeyRecord, KeySecret), KeyError> {
        let Inner { clock, formats, hashing, store, .. } = &*self.0;
        let now = clock.now();
        let old = self.get(id).await?.ok_or_else(|| KeyError::new(KeyErrorKind::NotFound))?;
        if !old.is_active(now) {
            return Err(KeyError::new(KeyErrorKind::Inactive));
        }
        let secret = formats[0].generate().map_err(misconfigured)?;
        let record = KeyRecord {
            id: KeyId::generate(now).map_err(misconfigured)?,
            digest: hashing.newest(secret.expose()),
            created_at: now,
            last_used_at: None,
            replaced: None,
            ..KeyRecord::clone(&old)
        };
        let _forget = Forget { keys: self, id };
        self.in_time(store.rotate(id, record.clone(), now + grace)).await?;
        Ok((record, secret))
    }

    /// Revokes a key, for good and at once; a key that was revoked already stays so.
    ///
    /// A key's successor, or the key it replaced, is not touched.
    ///
    /// # Errors
    ///
    /// [`NotFound`](KeyErrorKind::NotFound) if there is no such key, [`Unavailable`](KeyErrorKind::Unavailable) if the
    /// store does not answer: then it is unknown whether the key was revoked.
    pub async fn revoke(&self, id: &KeyId) -> Result<(), KeyError> {
        self.owned(id).await?;
        let _forget = Forget { keys: self, id };
        self.in_time(self.0.store.revoke(id, self.0.clock.now())).await
    }

    /// The record of a key, from the store.
    ///
    /// # Errors
    ///
    /// If the store does not answer.
    pub async fn get(&self, id: &KeyId) -> Result<Option<Arc<KeyRecord>>, KeyError> {
        let record = self.in_time(self.0.store.get(id)).await?;
        Ok(record.filter(|record| self.0.owns(record)))
    }

    /// A page of records, from the store.
    ///
    /// # Errors
    ///
    /// If the store does not answer.
    pub async fn list(&self, query: &KeyQuery) -> Result<KeyPage, KeyError> {
        let Some(tenant) = &self.0.tenant else {
            return self.in_time(self.0.store.list(query)).await;
        };
        if query.tenant.as_deref().is_some_and(|asked| asked != &**tenant) {
            return Ok(KeyPage::default());
        }
        self.in_time(self.0.store.list(&query.clone().tenant(&**tenant))).await
    }

    /// Writes down when keys were last used; to be called before the process ends.
    ///
    /// # Errors
    ///
    /// If the store does not answer; what could not be written waits on.
    pub async fn flush(&self) -> Result<(), KeyError> {
        Ok(self.0.ledger.flush().await?)
    }

    async fn owned(&self, id: &KeyId) -> Result<(), KeyError> {
        match &self.0.tenant {
            Some(_) => self.get(id).await?.map(drop).ok_or_else(|| KeyError::new(KeyErrorKind::NotFound)),
            None => Ok(()),
        }
    }

    async fn in_time<T, E>(&self, answer: Eventual<Result<T, E>>) -> Result<T, KeyError>
    where
        T: Send + 'static,
        E: Into<KeyError> + Send + 'static,
    {
        match tokio::time::timeout(self.0.timeout, answer.wait()).await {
            Ok(answer) => answer.map_err(Into::into),
            Err(late) => Err(Unavailable::new("the key store").because(late).into()),
        }
    }
}

impl Authenticator for ApiKeys {
    fn accepts(&self, credential: &Credential<'_>) -> bool {
        let (Credential::ApiKey(key) | Credential::Bearer(key)) = credential;
        self.0.formats.iter().any(|format| format.claims(key))
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let (Credential::ApiKey(key) | Credential::Bearer(key)) = presented.credential;
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
                    verdict(loaded.unwrap_or(Outcome::Down("key_store_timeout")))
                })
            }
        }
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { cache, formats, hashing, ledger, tenant, timeout, .. } = &*self.0;
        f.debug_struct("ApiKeys")
            .field("cache", cache)
            .field("formats", formats)
            .field("hashing", hashing)
            .field("ledger", ledger)
            .field("tenant", tenant)
            .field("timeout", timeout)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// What can be said of a key without a look-up: the format with the longest prefix that fits decides.
    fn check(&self, key: &str) -> Result<(), &'static str> {
        let formats = self.formats.iter().filter(|format| format.claims(key));
        formats.max_by_key(|format| format.prefix().len()).ok_or("key_prefix")?.check(key)
    }

    async fn look_up(self: Arc<Self>, candidates: Arc<[KeyDigest]>) -> Outcome<Arc<Identity>> {
        let found = async {
            // Never closed. Who waits here too long is told the same as if the store were slow, which it is.
            let _permit = self.look_ups.acquire().await;
            self.find(&candidates).await
        };
        match tokio::time::timeout(self.timeout, found).await {
            Ok(Ok(Some(record))) => self.judge(&record),
            Ok(Ok(None)) => Outcome::Refused("key_unknown"),
            Ok(Err(error)) => {
                log::warning!(error = %Chain(&error), "a key could not be looked up; the request is answered with 503");
                Outcome::Down("key_store_unavailable")
            }
            Err(_) => {
                log::warning!("a key was not looked up in time; the request is answered with 503");
                Outcome::Down("key_store_timeout")
            }
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
            return Outcome::Refused("tenant_mismatch");
        }
        if record.revoked_at.is_some() {
            return Outcome::Refused("key_revoked");
        }
        Outcome::Found(Arc::new(self.identity(record)))
    }

    fn owns(&self, record: &KeyRecord) -> bool {
        self.tenant.is_none() || record.tenant.as_deref() == self.tenant.as_deref()
    }

    fn identity(&self, record: &KeyRecord) -> Identity {
        let metadata = record.metadata.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        Identity {
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

impl Tagged for Arc<Identity> {
    fn tag(&self) -> &str {
        self.key_id.as_deref().unwrap_or_default()
    }
}

fn verdict(outcome: Outcome<Arc<Identity>>) -> Result<Arc<Identity>, Rejection> {
    match outcome {
        Outcome::Broken => Err(Rejection::new(RejectionKind::Internal, "panicked")),
        Outcome::Down(reason) => Err(Rejection::new(RejectionKind::Unavailable, reason)),
        Outcome::Found(identity) => Ok(identity),
        Outcome::Refused(reason) => Err(Rejection::new(RejectionKind::Invalid, reason)),
    }
}

fn misconfigured(error: ConfigError) -> KeyError {
    KeyError::new(KeyErrorKind::Configuration).because(error)
}

/// Makes what is cached of a key count no more, whatever became of the change: when it is done, has failed, or was
/// given up.
struct Forget<'a> {
    keys: &'a ApiKeys,
    id: &'a KeyId,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.keys.0.cache.forget(self.id.as_str());
    }
}
