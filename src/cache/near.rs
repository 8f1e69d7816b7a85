//! A small cache for each thread.
//!
//! A cache that knows which entries are used writes that down on each hit, in memory that all threads write to: two of
//! them are no faster than one. Here each thread has slots of its own, so that the keys it sees again and again cost it
//! neither that nor a long way through memory.

use std::sync::Mutex;

use crate::{digest::Digest, striped::Striped};

/// So many keys for each thread.
const SLOTS: usize = 1024;

/// The cache: slots for each thread, made when it first puts something.
pub(super) struct Near<T>(Striped<Mutex<Vec<Option<(Digest, T)>>>>);

impl<T: Clone> Near<T> {
    /// What this thread has put last.
    pub(super) fn get(&self, key: &Digest) -> Option<T> {
        // Slots that another thread is at are passed over: the other cache is there as well.
        let slots = self.0.mine().try_lock().ok()?;
        let (known, value) = slots.get(key.slot(SLOTS))?.as_ref()?;
        (known == key).then(|| value.clone())
    }

    pub(super) fn put(&self, key: Digest, value: T) {
        let Ok(mut slots) = self.0.mine().try_lock() else { return };
        if slots.is_empty() {
            slots.resize(SLOTS, None);
        }
        slots[key.slot(SLOTS)] = Some((key, value));
    }
}

impl<T> Default for Near<T> {
    fn default() -> Self {
        Self(Striped::new(Mutex::default))
    }
}
