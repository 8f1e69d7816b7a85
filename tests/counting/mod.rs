//! Counts what a thread allocates, and what a store is asked; for `tests/allocations.rs` and `benches/hot_path`.
#![allow(dead_code, reason = "a test and a benchmark use each a part of it")]

use std::{
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

pub(crate) use self::allocator::{Allocator, allocations, bytes};

mod allocator;

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
