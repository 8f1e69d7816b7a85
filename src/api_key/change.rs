//! A change that the store is making.

use super::{
    error::{KeyError, KeyErrorKind},
    key_id::KeyId,
    keys::ApiKeys,
    record::KeyRecord,
};
use crate::Eventual;

/// The kind of a change of a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Imported,
    Minted,
    Purged,
    Revoked,
    Rotated,
    Updated,
}

/// A change that the store is making. When it is dropped, the cache is invalidated and the observer is notified: the change
/// is done, has failed, or was cancelled, and in all three cases the store may have changed.
///
/// The invalidation comes after the change, so a look-up that reads the old record began before it and its entry is invalid.
pub(super) struct PendingChange<'a> {
    keys: &'a ApiKeys,
    change: Change,
    /// The id of the key. The store may assign a later one to a new key.
    pub(super) id: KeyId,
    /// A record with the owner and the tenant of the key.
    record: Option<&'a KeyRecord>,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Done,
    NotMade,
    Unknown,
}

impl<'a> PendingChange<'a> {
    pub(super) fn new(keys: &'a ApiKeys, change: Change, id: &KeyId, record: Option<&'a KeyRecord>) -> Self {
        Self { keys, change, id: id.clone(), record, outcome: Outcome::Unknown }
    }

    /// Waits until the store has made the change, or has failed to.
    pub(super) async fn made<T: Send + 'static>(
        &mut self,
        making: Eventual<Result<T, KeyError>>,
    ) -> Result<T, KeyError> {
        let made = self.keys.within_timeout(making).await;
        self.outcome = match &made {
            Ok(_) => Outcome::Done,
            Err(error) if error.kind() == KeyErrorKind::Unavailable => Outcome::Unknown,
            Err(_) => Outcome::NotMade,
        };
        made
    }
}

impl Drop for PendingChange<'_> {
    fn drop(&mut self) {
        let cache = self.keys.0.lookup.cache();
        match self.change {
            Change::Imported => cache.invalidate_refusals(),
            // Nobody has presented it yet.
            Change::Minted => {}
            Change::Purged | Change::Revoked | Change::Rotated | Change::Updated => cache.invalidate(self.id.as_str()),
        }
        self.note();
    }
}

#[cfg(feature = "audit")]
impl PendingChange<'_> {
    fn note(&self) {
        use std::panic::{AssertUnwindSafe, catch_unwind};

        use crate::notice::{ChangeOutcome, KeyAction, Notice};
        let Some(observer) = &self.keys.0.observer else { return };
        let action = match self.change {
            Change::Imported => KeyAction::Imported,
            Change::Minted => KeyAction::Minted,
            Change::Purged => KeyAction::Purged,
            Change::Revoked => KeyAction::Revoked,
            Change::Rotated => KeyAction::Rotated,
            Change::Updated => KeyAction::Updated,
        };
        let outcome = match self.outcome {
            Outcome::Done => ChangeOutcome::Done,
            Outcome::NotMade => return,
            Outcome::Unknown => ChangeOutcome::Unknown,
        };
        let owner = self.record.map(|record| record.owner.as_str().into());
        let tenant = self.record.and_then(|record| record.tenant.as_deref()).map(Into::into);
        let notice = Notice::Key { action, id: self.id.as_str().into(), outcome, owner, tenant };
        // A panic while another one unwinds would abort the process.
        let _ = catch_unwind(AssertUnwindSafe(|| observer.observe(notice)));
    }
}

#[cfg(not(feature = "audit"))]
impl PendingChange<'_> {
    const fn note(&self) {
        let _ = (self.outcome, self.record);
    }
}
