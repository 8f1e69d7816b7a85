//! Who hears of a store's changes.

use std::{
    fmt,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use super::record::KeyId;
use crate::log;

/// A change of a store.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyChange {
    /// There are new keys, so what was unknown may be known.
    Added,
    /// This key was revoked, replaced or changed.
    Changed(KeyId),
    /// Changes may have been missed, so nothing that was read before can be relied on.
    Missed,
}

/// Listens to the changes of a store, as long as who made it lives.
#[derive(Clone)]
pub struct KeyWatcher(Arc<dyn Fn(&KeyChange) -> ControlFlow<()> + Send + Sync>);

impl KeyWatcher {
    /// Listens with a closure.
    pub fn new(listener: impl Fn(&KeyChange) -> ControlFlow<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    /// Tells of a change.
    #[must_use]
    pub fn notify(&self, change: &KeyChange) -> ControlFlow<()> {
        (self.0)(change)
    }
}

impl fmt::Debug for KeyWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyWatcher")
    }
}

/// The watchers of a store, for stores that report changes.
#[derive(Debug, Default)]
pub struct KeyWatchers(Mutex<Vec<KeyWatcher>>);

impl KeyWatchers {
    /// Adds a watcher.
    pub fn add(&self, watcher: KeyWatcher) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(watcher);
    }

    /// Reports a change to all watchers, and drops those that listen no longer.
    pub fn notify(&self, change: &KeyChange) {
        // Watchers are told outside of the lock: they may do anything.
        let watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // One that panics must not keep the others from hearing.
        let tell = |watcher: &KeyWatcher| catch_unwind(AssertUnwindSafe(|| watcher.notify(change)));
        let ended = |watcher: &&KeyWatcher| match tell(watcher) {
            Ok(flow) => flow.is_break(),
            Err(_) => {
                log::error!("a watcher of a key store panicked; it goes on being told");
                false
            }
        };
        let ended: Vec<_> = watchers.iter().filter(ended).map(|watcher| Arc::clone(&watcher.0)).collect();
        if !ended.is_empty() {
            let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            watchers.retain(|watcher| !ended.iter().any(|ended| Arc::ptr_eq(ended, &watcher.0)));
        }
    }
}
