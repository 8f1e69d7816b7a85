//! Rotations and updates of a key whose record was checked: if it is changed in between, it is checked again.

use std::{sync::Arc, time::Duration};

use super::{
    addition::KeyAddition,
    change::{Change, PendingChange},
    error::{KeyError, KeyErrorKind},
    key_id::KeyId,
    keys::{ApiKeys, Inner, misconfigured},
    record::KeyRecord,
    secret::KeySecret,
    update::KeyUpdate,
};
use crate::time::UnixTime;

/// The number of times that a key is read and changed, if it is changed in between each time.
const MAX_ATTEMPTS: u32 = 4;

impl ApiKeys {
    /// Replaces a key with a new one that has the same rights and expiry; the old key is accepted for the grace period.
    ///
    /// Use a grace period. The new secret is only in the returned [`KeySecret`]; if that is lost, or the store answers
    /// too late, another key can be minted only while the old one is accepted.
    ///
    /// # Errors
    ///
    /// [`NotFound`](KeyErrorKind::NotFound) if the key does not exist, [`Inactive`](KeyErrorKind::Inactive) if it is
    /// revoked, replaced or expired, [`Conflict`](KeyErrorKind::Conflict) if it is being changed again and again,
    /// [`Configuration`](KeyErrorKind::Configuration) if the format is opaque,
    /// [`Unavailable`](KeyErrorKind::Unavailable) if the store does not answer: the key may have been replaced or not.
    pub async fn rotate(&self, id: &KeyId, grace: Duration) -> Result<(KeyRecord, KeySecret), KeyError> {
        self.rotate_checked(id, grace, None, |_| Ok(())).await
    }

    /// Replaces a key whose record passes a check. What was checked of the record is true of the new key, which expires
    /// at `not_after` at the latest.
    pub(super) async fn rotate_checked<E: From<KeyError>>(
        &self,
        id: &KeyId,
        grace: Duration,
        not_after: Option<UnixTime>,
        check: impl Fn(&KeyRecord) -> Result<(), E> + Send,
    ) -> Result<(KeyRecord, KeySecret), E> {
        self.change_checked(id, move |old| {
            check(&old)?;
            Ok(self.replace(old, grace, not_after))
        })
        .await
    }

    /// Reads a key and makes the change that is derived from its record, again if the key is changed in between.
    async fn change_checked<T, E, F>(
        &self,
        id: &KeyId,
        derive: impl Fn(Arc<KeyRecord>) -> Result<F, E> + Send,
    ) -> Result<T, E>
    where
        E: From<KeyError>,
        F: Future<Output = Result<T, KeyError>> + Send,
    {
        let mut attempts = 1;
        loop {
            let change = derive(self.existing(id).await?)?;
            match change.await {
                Err(error) if error.kind() == KeyErrorKind::Conflict && attempts < MAX_ATTEMPTS => attempts += 1,
                changed => return Ok(changed?),
            }
        }
    }

    /// Replaces a key as its record is given, or fails with a conflict if it was changed since.
    async fn replace(
        &self,
        old: Arc<KeyRecord>,
        grace: Duration,
        not_after: Option<UnixTime>,
    ) -> Result<(KeyRecord, KeySecret), KeyError> {
        let Inner { clock, formats, hashing, ids, store, .. } = &*self.0;
        let now = clock.now();
        if !old.is_active(now) {
            return Err(KeyError::new(KeyErrorKind::Inactive));
        }
        let secret = formats[0].generate().map_err(misconfigured)?;
        let mut record = KeyRecord {
            id: ids.generate(now).map_err(misconfigured)?,
            digest: hashing.newest(secret.expose()),
            created_at: now,
            expires_at: old.expires_at.into_iter().chain(not_after).min(),
            last_used_at: None,
            replaced: None,
            ..KeyRecord::clone(&old)
        };
        let mut change = PendingChange::new(self, Change::Rotated, &old.id, Some(&*old));
        let addition =
            KeyAddition::replacing(record.clone(), old.id.clone(), now + grace).copied_from(Arc::clone(&old));
        record.id = change.made(store.append(addition)).await?;
        Ok((record, secret))
    }

    /// Changes the fields of a key that the update names, at once, and returns its record.
    ///
    /// # Errors
    ///
    /// [`NotFound`](KeyErrorKind::NotFound) if the key does not exist, [`Inactive`](KeyErrorKind::Inactive) if it is
    /// revoked, [`Invalid`](KeyErrorKind::Invalid) if the changed record would not be valid,
    /// [`Conflict`](KeyErrorKind::Conflict) if it was changed since [`KeyUpdate::checked`],
    /// [`Configuration`](KeyErrorKind::Configuration) if the store does not support updates,
    /// [`Unavailable`](KeyErrorKind::Unavailable) if the store does not answer: the key may have been changed or not.
    pub async fn update(&self, id: &KeyId, update: KeyUpdate) -> Result<Arc<KeyRecord>, KeyError> {
        let old = self.existing(id).await?;
        self.write(&old, &update).await
    }

    /// Makes an update that is derived from the record of the key. What was checked of the record is true of the one that
    /// is changed.
    #[cfg(feature = "axum")]
    pub(super) async fn update_checked<E: From<KeyError>>(
        &self,
        id: &KeyId,
        derive: impl Fn(&KeyRecord) -> Result<KeyUpdate, E> + Send,
    ) -> Result<Arc<KeyRecord>, E> {
        self.change_checked(id, move |old| {
            let update = derive(&old)?.checked(Arc::clone(&old));
            Ok(async move { self.write(&old, &update).await })
        })
        .await
    }

    async fn write(&self, old: &KeyRecord, update: &KeyUpdate) -> Result<Arc<KeyRecord>, KeyError> {
        update.applied(old)?;
        let mut change = PendingChange::new(self, Change::Updated, &old.id, Some(old));
        change.made(self.0.store.update(&old.id, update)).await?;
        drop(change);
        self.existing(&old.id).await
    }
}
