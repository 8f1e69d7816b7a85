//! A small cache for each thread.
//!
//! A cache that knows which entries are used writes that down on each hit, in memory that all threads write to: two of
//! them are no faster than one. Here each thread has slots of its own, so that the keys it sees again and again cost it
//! neither that nor a long way through memory.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use crate::digest::Digest;

/// So many keys for each stripe.
const SLOTS: usize = 1024;

/// So many stripes; with more threads than that, some share one.
const STRIPES: usize = 64;

/// The cache: a stripe of slots for each thread, made when it first puts something.
pub(super) struct Near<T>(Box<[Stripe<T>]>);

/// Far enough from its neighbours that no two threads write to one line of memory.
#[repr(align(128))]
struct Stripe<T>(Mutex<Vec<Option<(Digest, T)>>>);

impl<T: Clone> Near<T> {
    /// What this thread has put last.
    pub(super) fn get(&self, key: &Digest) -> Option<T> {
        // A stripe that another thread is at is passed over: the other cache is there as well.
        let slots = self.stripe().try_lock().ok()?;
        let (known, value) = slots.get(key.slot(SLOTS))?.as_ref()?;
        (known == key).then(|| value.clone())
    }

    pub(super) fn put(&self, key: Digest, value: T) {
        let Ok(mut slots) = self.stripe().try_lock() else { return };
        if slots.is_empty() {
            slots.resize(SLOTS, None);
        }
        slots[key.slot(SLOTS)] = Some((key, value));
    }

    fn stripe(&self) -> &Mutex<Vec<Option<(Digest, T)>>> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        &self.0[NUMBER.with(|number| number % STRIPES)].0
    }
}

impl<T> Default for Near<T> {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Stripe(Mutex::default())).collect())
    }
}
