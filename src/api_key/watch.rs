use std::{
    fmt,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use super::key_id::KeyId;
use crate::log;

/// A change of a key store.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyChange {
    /// Keys were added, so an unknown key may have become known.
    Added,
    /// This key was revoked, replaced or changed.
    Changed(KeyId),
    /// Changes may have been missed, so nothing that was read before is reliable.
    Missed,
}

/// A listener for changes of a key store, which a store calls until it returns `Break`.
///
/// # Examples
///
/// ```
/// use std::ops::ControlFlow;
/// use tower_warden::api_key::{KeyChange, KeyWatcher};
///
/// let watcher = KeyWatcher::new(|change| {
///     println!("changed: {change:?}");
///     ControlFlow::Continue(())
/// });
/// assert_eq!(watcher.notify(&KeyChange::Added), ControlFlow::Continue(()));
/// ```
#[derive(Clone)]
pub struct KeyWatcher(Arc<dyn Fn(&KeyChange) -> ControlFlow<()> + Send + Sync>);

impl KeyWatcher {
    /// Creates a watcher from a closure.
    pub fn new(listener: impl Fn(&KeyChange) -> ControlFlow<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    /// Reports a change.
    pub fn notify(&self, change: &KeyChange) -> ControlFlow<()> {
        (self.0)(change)
    }
}

impl fmt::Debug for KeyWatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyWatcher")
    }
}

/// The watchers of a store, for implementations of [`KeyStore::watch`](super::KeyStore::watch).
#[derive(Debug, Default)]
pub struct KeyWatchers(Mutex<Vec<KeyWatcher>>);

impl KeyWatchers {
    /// Adds a watcher.
    pub fn add(&self, watcher: KeyWatcher) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(watcher);
    }

    /// Reports a change to all watchers, and removes those that return `Break`.
    pub fn notify(&self, change: &KeyChange) {
        // Watchers are called without the lock, because they may call anything, also this store.
        let watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_done = |watcher: &&KeyWatcher| {
            // A watcher that panics must not prevent the others from being notified.
            match catch_unwind(AssertUnwindSafe(|| watcher.notify(change))) {
                Ok(flow) => flow.is_break(),
                Err(_) => {
                    log::error!("a watcher of a key store panicked; it stays registered");
                    false
                }
            }
        };
        let done: Vec<_> = watchers.iter().filter(is_done).map(|watcher| Arc::clone(&watcher.0)).collect();
        if !done.is_empty() {
            let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            watchers.retain(|watcher| !done.iter().any(|done| Arc::ptr_eq(done, &watcher.0)));
        }
    }
}
