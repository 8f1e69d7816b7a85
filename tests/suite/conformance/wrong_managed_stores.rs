//! Key stores whose `append`, `update` or `purge` has one fault.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::task::yield_now;
use tower_warden::{
    Eventual, UnixTime,
    api_key::{KeyAddition, KeyDigest, KeyError, KeyErrorKind, KeyId, KeyRecord, KeyStore, KeyUpdate, MemoryKeyStore},
    testing::conformance::{key_store, key_store_management, key_store_management_changes},
};

use super::assert_violated;
use crate::forwarding::forward_to_inner;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    AppendsAfterWaiting,
    AppendsAsGiven,
    ChecksThenUpdates,
    DeletesActiveKeys,
    DeletesByExpiryOnly,
    ForgetsToRemoveTheTier,
    IgnoresWhatWasChecked,
    IgnoresWhatWasCopied,
    IsOfAnOlderVersion,
    RenamesCustomIds,
    UpdatesAreNotReported,
    UpdatesRevokedKeys,
}

#[derive(Clone)]
struct Store {
    fault: Fault,
    inner: Arc<MemoryKeyStore>,
    unwatched: Arc<MemoryKeyStore>,
    reserved: Arc<AtomicU64>,
}

impl Store {
    fn new(fault: Fault) -> Self {
        Self { fault, inner: Arc::default(), unwatched: Arc::default(), reserved: Arc::default() }
    }
}

impl KeyStore for Store {
    forward_to_inner!(find get insert revoke rotate list touch watch);

    fn append(&self, mut addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        match self.fault {
            Fault::AppendsAsGiven => {
                let id = addition.record.id.clone();
                let added = match addition.replaces {
                    Some((old, until)) => self.inner.rotate(&old, addition.record, until),
                    None => self.inner.insert(addition.record),
                };
                added.map(|added| added.map(|()| id))
            }
            // The id is reserved in one step, and the record added in another.
            Fault::AppendsAfterWaiting => {
                let (number, mut reserving) = (self.reserved.fetch_add(1, Ordering::Relaxed), addition.record.clone());
                reserving.digest = KeyDigest::sha256(&format!("reserved {number}"));
                let reserved = self.unwatched.append(KeyAddition::new(reserving));
                let inner = Arc::clone(&self.inner);
                Eventual::later(async move {
                    let id = reserved.wait().await?;
                    // Some take longer than those after them.
                    for _ in 0..if number % 5 == 0 { 30 } else { 0 } {
                        yield_now().await;
                    }
                    addition.record.id = id.clone();
                    let added = match addition.replaces {
                        Some((old, until)) => inner.rotate(&old, addition.record, until),
                        None => inner.insert(addition.record),
                    };
                    added.wait().await.map(|()| id)
                })
            }
            Fault::IgnoresWhatWasCopied => {
                addition.copied_from = None;
                self.inner.append(addition)
            }
            Fault::RenamesCustomIds => {
                if addition.record.id.position().is_none() {
                    addition.record.id = KeyId::parse(&format!("{}-1", addition.record.id)).unwrap();
                }
                self.inner.append(addition)
            }
            _ => self.inner.append(addition),
        }
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        let Eventual::Now(Ok(Some(record))) = self.inner.get(id) else { return self.inner.update(id, update) };
        match self.fault {
            Fault::IsOfAnOlderVersion => {
                Eventual::Now(Err(KeyError::new(KeyErrorKind::Configuration).because("not supported")))
            }
            Fault::IgnoresWhatWasChecked => {
                let mut update = update.clone();
                update.checked = None;
                self.inner.update(id, &update)
            }
            // The check is one step, and the change another one.
            Fault::ChecksThenUpdates if update.is_current(&record) => {
                let (inner, id, mut update) = (Arc::clone(&self.inner), id.clone(), update.clone());
                update.checked = None;
                Eventual::later(async move {
                    yield_now().await;
                    inner.update(&id, &update).wait().await
                })
            }
            Fault::UpdatesRevokedKeys if record.revoked_at.is_some() => Eventual::Now(Ok(())),
            Fault::ForgetsToRemoveTheTier => {
                let mut update = update.clone();
                update.tier = update.tier.filter(Option::is_some);
                self.inner.update(id, &update)
            }
            Fault::UpdatesAreNotReported => {
                // As if another process had made it.
                let _ = self.unwatched.insert(KeyRecord::clone(&record));
                self.unwatched.update(id, update)
            }
            _ => self.inner.update(id, update),
        }
    }

    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let Eventual::Now(Ok(Some(record))) = self.inner.get(id) else { return self.inner.purge(id, at) };
        match self.fault {
            Fault::DeletesActiveKeys => {
                let _ = self.inner.revoke(id, UnixTime::default());
                self.inner.purge(id, at)
            }
            Fault::DeletesByExpiryOnly if record.expires_at.is_none_or(|end| end > at) => {
                Eventual::Now(Err(KeyError::new(KeyErrorKind::Active)))
            }
            _ => self.inner.purge(id, at),
        }
    }
}

#[tokio::test]
async fn store_of_an_older_version_passes_the_rules_of_required_methods() {
    key_store(async || Store::new(Fault::IsOfAnOlderVersion)).await;
}

#[tokio::test]
async fn each_wrong_change_violates_its_rule() {
    let faults = [
        (Fault::AppendsAsGiven, "an appended record follows those that were appended before"),
        (Fault::RenamesCustomIds, "an id that was not generated is not changed"),
        (Fault::AppendsAfterWaiting, "no appended record is missed by a client that continues a list"),
        (Fault::IsOfAnOlderVersion, "a key that is not revoked can be updated"),
        (Fault::ForgetsToRemoveTheTier, "an update changes the fields that it names, and nothing else"),
        (Fault::UpdatesRevokedKeys, "an update of a revoked key is refused as inactive"),
        (Fault::IgnoresWhatWasCopied, "a successor whose rights were copied before the key was updated is a conflict"),
        (Fault::IgnoresWhatWasChecked, "an update that was checked before another one is a conflict"),
        (Fault::ChecksThenUpdates, "of 20 concurrent updates that were checked on one record, exactly one succeeds"),
        (Fault::DeletesByExpiryOnly, "a key that was inactive at the given time is deleted"),
        (Fault::DeletesActiveKeys, "a key that is not inactive at the given time is not deleted"),
    ];
    for (fault, rule) in faults {
        assert_violated(fault, key_store_management(async || Store::new(fault)), rule).await;
    }
}

#[tokio::test(start_paused = true)]
async fn update_that_is_not_reported_violates_its_rule() {
    let make = async || Store::new(Fault::UpdatesAreNotReported);
    assert_violated("an update", key_store_management_changes(make), "a watcher hears that a key was changed").await;
}
