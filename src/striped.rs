//! A value for each thread, so that threads do not write to one line of memory.
//!
//! Counting a reference is such a write: two threads that clone one `Arc` on each request hold each other up.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// So many values; with more threads than that, some share one.
const STRIPES: usize = 64;

/// A value for each thread.
#[derive(Clone)]
pub(crate) struct Striped<T>(Arc<[Line<T>]>);

/// Far enough from its neighbours.
#[repr(align(128))]
struct Line<T>(T);

impl<T> Striped<T> {
    pub(crate) fn new(make: impl Fn() -> T) -> Self {
        Self((0..STRIPES).map(|_| Line(make())).collect())
    }

    /// This thread's.
    pub(crate) fn mine(&self) -> &T {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        &self.0[NUMBER.with(|number| number % STRIPES)].0
    }
}

impl<T: fmt::Debug> fmt::Debug for Striped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mine().fmt(f)
    }
}
