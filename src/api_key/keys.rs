use std::{borrow::Cow, fmt, sync::Arc};

use super::{
    addition::KeyAddition,
    builder::ApiKeysBuilder,
    change::{Change, PendingChange},
    digest::Hashing,
    error::{KeyError, KeyErrorKind},
    format::KeyFormat,
    key_id::{KeyId, KeyIds},
    new_key::NewKey,
    query::{KeyPage, KeyQuery},
    record::KeyRecord,
    secret::KeySecret,
    store::KeyStore,
    usage::UsageRecorder,
};
use crate::{
    Eventual,
    cache::CachedLookup,
    caller::Identity,
    error::{ConfigError, Unavailable},
    time::{Clock, UnixTime},
};

/// Verifies API keys, and mints, rotates and revokes them.
///
/// A verified key is cached for 30 seconds by default. A change that is made through this type is effective at once on this
/// node, also for a look-up in flight. Clones share all state. See the [module docs](super).
#[derive(Clone)]
pub struct ApiKeys(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) clock: Arc<dyn Clock>,
    /// Not empty; the first format is that of minted keys.
    pub(super) formats: Vec<KeyFormat>,
    pub(super) hashing: Hashing,
    pub(super) ids: KeyIds,
    pub(super) lookup: Arc<CachedLookup<Arc<Identity>>>,
    #[cfg(feature = "audit")]
    pub(super) observer: Option<Arc<dyn crate::notice::Observer>>,
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) tenant: Option<Box<str>>,
    pub(super) usage: Arc<UsageRecorder>,
}

impl ApiKeys {
    /// Creates an authenticator for keys of one format in a store, with the defaults of [`ApiKeysBuilder`].
    #[must_use]
    pub fn new(store: impl KeyStore, format: KeyFormat) -> Self {
        Self::builder(store, format).build()
    }

    /// Creates a builder; the format is that of minted keys.
    pub fn builder(store: impl KeyStore, format: KeyFormat) -> ApiKeysBuilder {
        ApiKeysBuilder::new(Arc::new(store), format)
    }

    /// Mints a key. Its secret is only in the returned [`KeySecret`]; the store gets its digest.
    ///
    /// # Errors
    ///
    /// [`Invalid`](KeyErrorKind::Invalid) if the owner is empty, a scope is malformed, a text is too long, or the key has
    /// another tenant than [`ApiKeysBuilder::tenant`]; [`Configuration`](KeyErrorKind::Configuration) if the format is
    /// opaque; [`Unavailable`](KeyErrorKind::Unavailable) if the store does not answer.
    pub async fn mint(&self, key: NewKey) -> Result<(KeyRecord, KeySecret), KeyError> {
        let (mut record, secret) = self.draft_now(key)?;
        let mut change = PendingChange::new(self, Change::Minted, &record.id, Some(&record));
        let id = change.made(self.0.store.append(KeyAddition::new(record.clone()))).await?;
        change.id.clone_from(&id);
        drop(change);
        record.id = id;
        Ok((record, secret))
    }

    /// Makes a key with a new id that is not stored yet.
    pub(crate) fn draft_now(&self, key: NewKey) -> Result<(KeyRecord, KeySecret), KeyError> {
        let now = self.0.clock.now();
        let id = self.0.ids.generate(now).map_err(misconfigured)?;
        self.draft(key, id, now)
    }

    /// Makes a key that is not stored yet.
    pub(super) fn draft(&self, key: NewKey, id: KeyId, now: UnixTime) -> Result<(KeyRecord, KeySecret), KeyError> {
        let secret = self.0.formats[0].generate().map_err(misconfigured)?;
        let record = key.into_record(id, self.0.hashing.newest(secret.expose()), now)?;
        if !self.0.is_of_tenant(&record) {
            let message = "the key has another tenant than the one that `ApiKeysBuilder::tenant` was set to";
            return Err(KeyError::new(KeyErrorKind::Invalid).because(message));
        }
        Ok((record, secret))
    }

    /// Revokes a key, permanently and at once. Revoking a revoked key changes nothing.
    ///
    /// A key that replaced it, or that it replaced, is not revoked.
    ///
    /// # Errors
    ///
    /// [`NotFound`](KeyErrorKind::NotFound) if the key does not exist, [`Unavailable`](KeyErrorKind::Unavailable) if the
    /// store does not answer: the key may have been revoked or not.
    pub async fn revoke(&self, id: &KeyId) -> Result<(), KeyError> {
        self.check_tenant(id).await?;
        self.revoke_selected(id).await
    }

    /// Revokes a key of the configured tenant.
    pub(super) async fn revoke_selected(&self, id: &KeyId) -> Result<(), KeyError> {
        let mut change = PendingChange::new(self, Change::Revoked, id, None);
        change.made(self.0.store.revoke(id, self.0.clock.now())).await
    }

    /// Deletes the record of a key that is revoked or expired.
    ///
    /// Afterwards the key is an unknown one. An import of an older export adds it again, as it was then.
    ///
    /// # Errors
    ///
    /// [`NotFound`](KeyErrorKind::NotFound) if the key does not exist, [`Active`](KeyErrorKind::Active) if it is neither
    /// revoked nor expired, [`Configuration`](KeyErrorKind::Configuration) if the store does not delete records,
    /// [`Unavailable`](KeyErrorKind::Unavailable) if the store does not answer.
    pub async fn purge(&self, id: &KeyId) -> Result<(), KeyError> {
        // A node whose clock is ahead may have revoked it.
        let revoked_at = self.existing(id).await?.revoked_at;
        self.purge_since(id, revoked_at.max(Some(self.0.clock.now())).unwrap_or_default()).await
    }

    /// Deletes the record of a key that was inactive at this time, or before.
    pub(super) async fn purge_since(&self, id: &KeyId, at: UnixTime) -> Result<(), KeyError> {
        let mut change = PendingChange::new(self, Change::Purged, id, None);
        change.made(self.0.store.purge(id, at)).await
    }

    /// Returns the record of a key, read from the store.
    ///
    /// # Errors
    ///
    /// If the store does not answer.
    pub async fn get(&self, id: &KeyId) -> Result<Option<Arc<KeyRecord>>, KeyError> {
        let record = self.within_timeout(self.0.store.get(id)).await?;
        Ok(record.filter(|record| self.0.is_of_tenant(record)))
    }

    /// Returns a page of records, read from the store.
    ///
    /// # Errors
    ///
    /// If the store does not answer.
    pub async fn list(&self, query: &KeyQuery) -> Result<KeyPage, KeyError> {
        match self.within_tenant(query) {
            Some(query) => self.within_timeout(self.0.store.list(&query)).await,
            None => Ok(KeyPage::default()),
        }
    }

    /// The query for keys of the configured tenant, or `None` if it is for those of another one.
    pub(super) fn within_tenant<'q>(&self, query: &'q KeyQuery) -> Option<Cow<'q, KeyQuery>> {
        let Some(tenant) = self.0.tenant.as_deref() else { return Some(Cow::Borrowed(query)) };
        let is_of_another = query.tenant.as_deref().is_some_and(|queried| queried != tenant);
        (!is_of_another).then(|| Cow::Owned(query.clone().tenant(tenant)))
    }

    /// Writes the last uses of keys to the store. To be called before the process exits.
    ///
    /// # Errors
    ///
    /// If the store does not answer; the uses stay queued.
    pub async fn flush(&self) -> Result<(), KeyError> {
        Ok(self.0.usage.flush().await?)
    }

    /// Returns the record of a key, or an error if it does not exist.
    pub(super) async fn existing(&self, id: &KeyId) -> Result<Arc<KeyRecord>, KeyError> {
        self.get(id).await?.ok_or_else(|| KeyError::new(KeyErrorKind::NotFound))
    }

    /// Refuses a key of another tenant as if it did not exist.
    async fn check_tenant(&self, id: &KeyId) -> Result<(), KeyError> {
        match &self.0.tenant {
            Some(_) => self.existing(id).await.map(drop),
            None => Ok(()),
        }
    }

    pub(super) async fn within_timeout<T, E>(&self, result: Eventual<Result<T, E>>) -> Result<T, KeyError>
    where
        T: Send + 'static,
        E: Into<KeyError> + Send + 'static,
    {
        match tokio::time::timeout(self.0.lookup.timeout(), result.wait()).await {
            Ok(result) => result.map_err(Into::into),
            Err(late) => Err(Unavailable::new("the key store").because(late).into()),
        }
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { formats, hashing, lookup, tenant, usage, .. } = &*self.0;
        f.debug_struct("ApiKeys")
            .field("formats", formats)
            .field("hashing", hashing)
            .field("lookup", lookup)
            .field("tenant", tenant)
            .field("usage", usage)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Returns whether a key has the configured tenant, or none is configured.
    pub(super) fn is_of_tenant(&self, record: &KeyRecord) -> bool {
        self.tenant.is_none() || record.tenant.as_deref() == self.tenant.as_deref()
    }
}

pub(super) fn misconfigured(error: ConfigError) -> KeyError {
    KeyError::new(KeyErrorKind::Configuration).because(error)
}
