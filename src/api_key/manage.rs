//! Changes of many keys, and the first key of a store.

use std::num::NonZeroU16;

use futures_util::future::try_join_all;

use super::{
    change::{self, PendingChange},
    error::{KeyError, KeyErrorKind},
    key_id::KeyId,
    keys::ApiKeys,
    new_key::NewKey,
    query::{KeyQuery, UnrevokedKeys},
    record::KeyRecord,
    secret::KeySecret,
};
use crate::{digest::Digest, time::UnixTime};

/// The number of times that the keys of an owner are listed to be revoked, while further ones are minted.
const MAX_PASSES: u32 = 16;

/// The number of changes that are made at the same time.
const CONCURRENCY: usize = 16;

impl ApiKeys {
    /// Mints the first key of a store, if the store has no keys: once, also if several nodes start at the same time.
    /// With [`ApiKeysBuilder::tenant`](super::ApiKeysBuilder::tenant), the first key of the tenant.
    ///
    /// Returns `None` if there are keys already, revoked and expired ones included. The id of the key is fixed,
    /// `bootstrap`, so of the nodes that find an empty store, one succeeds. If its secret is lost,
    /// [rotate](Self::rotate) the key.
    ///
    /// A store whose last record was [purged](Self::purge) has no keys, and the next call mints a key again: do not
    /// purge the record of the last key, or stop calling this method after the first start.
    ///
    /// # Errors
    ///
    /// Those of [`mint`](Self::mint). If the store was [`Unavailable`](KeyErrorKind::Unavailable), the key may have been
    /// added.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_live")?);
    /// let admin = || NewKey::new("operator").name("first key").scopes("keys:admin");
    /// if let Some((_, secret)) = keys.bootstrap(admin()).await? {
    ///     eprintln!("admin key, shown once: {}", secret.expose());
    /// }
    /// assert!(keys.bootstrap(admin()).await?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn bootstrap(&self, key: NewKey) -> Result<Option<(KeyRecord, KeySecret)>, KeyError> {
        if !self.list(&KeyQuery::default().limit(NonZeroU16::MIN)).await?.keys.is_empty() {
            return Ok(None);
        }
        let (record, secret) = self.draft(key, self.bootstrap_id()?, self.0.clock.now())?;
        let mut change = PendingChange::new(self, change::Change::Minted, &record.id, Some(&record));
        let made = change.made(self.0.store.insert(record.clone())).await;
        drop(change);
        match made {
            Ok(()) => Ok(Some((record, secret))),
            Err(error) if error.kind() == KeyErrorKind::Conflict => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Revokes all keys that a query selects, permanently, and returns how many were revoked. The query names an owner or a
    /// tenant; [`after`](KeyQuery::after) and [`limit`](KeyQuery::limit) are ignored.
    ///
    /// Keys that are minted in the meantime are revoked too. Keys are revoked one by one: after an error, some are revoked,
    /// and the call can be repeated.
    ///
    /// # Errors
    ///
    /// [`Invalid`](KeyErrorKind::Invalid) if the query names neither an owner nor a tenant,
    /// [`Conflict`](KeyErrorKind::Conflict) if further keys are minted all the time: stop that, and call it again;
    /// [`Unavailable`](KeyErrorKind::Unavailable) if the store does not answer.
    pub async fn revoke_all(&self, query: &KeyQuery) -> Result<u64, KeyError> {
        if query.owner.is_none() && query.tenant.is_none() {
            let message = "keys are revoked by their owner or their tenant";
            return Err(KeyError::new(KeyErrorKind::Invalid).because(message));
        }
        let mut total = 0;
        // Until none is left: an owner may use one key to mint others until that key is revoked.
        for _ in 0..MAX_PASSES {
            let revoked = self.each(query, Change::Revoke, Some(self.0.clock.now())).await?;
            if revoked == 0 {
                return Ok(total);
            }
            total += revoked;
        }
        Err(KeyError::new(KeyErrorKind::Conflict).because("keys are minted while they are revoked"))
    }

    /// Deletes the records of all keys that a query selects and that were revoked or had expired by `before`, and returns
    /// how many were deleted. To be called from time to time: expired keys are stored until they are deleted.
    ///
    /// [`after`](KeyQuery::after) and [`limit`](KeyQuery::limit) of the query are ignored. See [`purge`](Self::purge).
    ///
    /// # Errors
    ///
    /// [`Configuration`](KeyErrorKind::Configuration) if the store does not delete records,
    /// [`Unavailable`](KeyErrorKind::Unavailable) if it does not answer; some records may have been deleted.
    pub async fn purge_inactive(&self, query: &KeyQuery, before: UnixTime) -> Result<u64, KeyError> {
        let before = before.min(self.0.clock.now());
        self.each(query, Change::Purge(before), None).await
    }

    /// Makes a change of each selected key, and returns their number.
    ///
    /// With `began_at`, this is one of several passes until nothing is changed: a page whose selected keys were all created
    /// later than that is the last one, because keys may be added faster than they are changed.
    async fn each(&self, query: &KeyQuery, change: Change, began_at: Option<UnixTime>) -> Result<u64, KeyError> {
        let (mut query, mut count) = (query.clone(), 0);
        (query.after, query.limit) = (None, NonZeroU16::new(1_000));
        loop {
            let page = self.selected(&query, change).await?;
            let is_later = |created_at: UnixTime| began_at.is_some_and(|began_at| created_at > began_at);
            let are_later = !page.keys.is_empty() && page.keys.iter().all(|(_, created_at)| is_later(*created_at));
            for chunk in page.keys.chunks(CONCURRENCY) {
                let changes = chunk.iter().map(|(id, _)| self.change(id, change));
                count += try_join_all(changes).await?.into_iter().sum::<u64>();
            }
            match page.next {
                Some(_) if are_later && count > 0 => return Ok(count),
                Some(next) => query.after = Some(next),
                None => return Ok(count),
            }
        }
    }

    /// A page of the keys to be changed.
    async fn selected(&self, query: &KeyQuery, change: Change) -> Result<UnrevokedKeys, KeyError> {
        match (change, self.within_tenant(query)) {
            (Change::Purge(before), _) => {
                let is_inactive = |record: &KeyRecord| record.inactive_since().is_some_and(|since| since <= before);
                Ok(UnrevokedKeys::among(&self.list(query).await?, is_inactive))
            }
            (Change::Revoke, Some(query)) => self.within_timeout(self.0.store.list_unrevoked(&query)).await,
            (Change::Revoke, None) => Ok(UnrevokedKeys::default()),
        }
    }

    /// Makes a change of one key, and returns how many keys were changed: none if another node was faster.
    async fn change(&self, id: &KeyId, change: Change) -> Result<u64, KeyError> {
        let changed = match change {
            Change::Purge(before) => self.purge_since(id, before).await,
            Change::Revoke => self.revoke_selected(id).await,
        };
        match changed {
            Ok(()) => Ok(1),
            Err(error) if matches!(error.kind(), KeyErrorKind::Active | KeyErrorKind::NotFound) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The id of the first key; one for each tenant, because tenants may share a store.
    fn bootstrap_id(&self) -> Result<KeyId, KeyError> {
        let tenant = self.0.tenant.as_ref().map(|tenant| Digest::of(tenant.as_bytes()).to_hex());
        let id = tenant.map_or_else(|| "bootstrap".into(), |digest| format!("bootstrap-{}", &digest[..32]));
        KeyId::parse(&id).map_err(|error| KeyError::new(KeyErrorKind::Invalid).because(error))
    }
}

/// A change of one key.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Deletes the record if the key was inactive at this time.
    Purge(UnixTime),
    /// Revokes the key.
    Revoke,
}
