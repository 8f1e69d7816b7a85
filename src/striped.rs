use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The number of values; more threads than that share them.
const STRIPES: usize = 64;

/// A value for each thread, so that threads do not contend for one cache line.
///
/// The reference count of an `Arc` is such a line: two threads that clone one `Arc` on each request slow each other down.
#[derive(Clone)]
pub(crate) struct Striped<T>(Arc<[Line<T>]>);

/// A value on cache lines of its own; 128 bytes, since some processors prefetch lines in pairs.
#[repr(align(128))]
struct Line<T>(T);

impl<T> Striped<T> {
    pub(crate) fn new(make: impl Fn() -> T) -> Self {
        Self((0..STRIPES).map(|_| Line(make())).collect())
    }

    /// The value of the current thread.
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
