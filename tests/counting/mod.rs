//! Counts what a thread allocates, and what a store is asked; for `tests/allocations.rs` and `benches/hot_path`.
#![allow(dead_code, reason = "a test and a benchmark use each a part of it")]
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use tower_warden::{
    Eventual, Unavailable, UnixTime,
    api_key::{KeyDigest, KeyError, KeyId, KeyPage, KeyQuery, KeyRecord, KeyStore, KeyUse, KeyWatcher, MemoryKeyStore},
    fetch::Fetch,
};

/// The system's allocator, which counts for each thread on its own.
pub(crate) struct Allocator;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

/// What `work` comes to, and how often it allocated, or moved what was allocated.
pub(crate) fn allocations<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = ALLOCATIONS.get();
    let output = work();
    (output, ALLOCATIONS.get() - before)
}

/// What `work` comes to, and how many bytes more than before it this thread holds.
pub(crate) fn bytes<T>(work: impl FnOnce() -> T) -> (T, i64) {
    let before = BYTES.get();
    let output = work();
    (output, BYTES.get() - before)
}

fn count(allocations: u64, bytes: usize, freed: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + allocations);
    BYTES.set(BYTES.get() + bytes as i64 - freed as i64);
}

// SAFETY: every call goes to the system's allocator as it came; the counters are plain cells, which neither allocate
// nor have a destructor.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size, layout.size());
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, 0, layout.size());
        unsafe { System.dealloc(memory, layout) }
    }
}

/// The output of a future that has nothing to wait for.
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// An introspection endpoint that says of every token that it is active, and counts how often; clones share everything.
#[derive(Clone, Default)]
pub(crate) struct Endpoint(Arc<AtomicUsize>);

impl Endpoint {
    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Fetch for Endpoint {
    fn fetch(&self, _: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let answer = r#"{"active":true,"sub":"alice","aud":"https://api.example","scope":"billing:read"}"#;
        Eventual::Now(Ok(Response::new(answer.into())))
    }
}

/// A store in memory that counts how often a key was looked up, and takes its time; clones share everything.
#[derive(Clone, Default)]
pub(crate) struct Store {
    keys: Arc<MemoryKeyStore>,
    finds: Arc<AtomicUsize>,
    delay: Duration,
}

impl Store {
    /// A look-up takes so long.
    pub(crate) fn slow(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// How often a key was looked up.
    pub(crate) fn finds(&self) -> usize {
        self.finds.load(Ordering::SeqCst)
    }
}

impl KeyStore for Store {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.finds.fetch_add(1, Ordering::SeqCst);
        let (found, delay) = (self.keys.find(digest), self.delay);
        Eventual::later(async move {
            tokio::time::sleep(delay).await;
            found.wait().await
        })
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.keys.get(id)
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        self.keys.insert(record)
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.keys.revoke(id, at)
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.keys.rotate(id, successor, until)
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        self.keys.list(query)
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        self.keys.touch(uses)
    }

    fn watch(&self, watcher: KeyWatcher) {
        self.keys.watch(watcher);
    }
}
