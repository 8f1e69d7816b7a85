//! What an operator does with keys.

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use super::{
    builder::ApiKeysBuilder,
    digest::Hashing,
    error::{KeyError, KeyErrorKind},
    format::KeyFormat,
    record::{KeyId, KeyRecord, NewKey},
    secret::KeySecret,
    store::{KeyPage, KeyQuery, KeyStore},
    usage::Ledger,
};
use crate::{
    Eventual,
    cache::FencedCache,
    caller::Identity,
    error::{ConfigError, Unavailable},
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
        record.check().map_err(|why| KeyError::new(KeyErrorKind::Invalid).because(why))?;
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
    /// Whether a key is of the tenant whose keys these are.
    pub(super) fn owns(&self, record: &KeyRecord) -> bool {
        self.tenant.is_none() || record.tenant.as_deref() == self.tenant.as_deref()
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
