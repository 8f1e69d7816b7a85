//! The numbers of requests in progress, and the bodies that keep them there.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::super::limit_key::LimitKey;

/// The number of locks.
const SHARDS: usize = 64;

/// The number of requests in progress for each key; a key without any is not stored.
pub(crate) struct InFlight {
    maximum: NonZeroU32,
    secret: RandomState,
    shards: [Shard; SHARDS],
}

/// Aligned, so that two locks do not share a cache line.
#[derive(Default)]
#[repr(align(128))]
struct Shard(Mutex<HashMap<u64, u32>>);

impl InFlight {
    pub(crate) fn new(maximum: NonZeroU32) -> Self {
        Self { maximum, secret: RandomState::new(), shards: std::array::from_fn(|_| Shard::default()) }
    }

    /// The maximum for each key.
    pub(crate) const fn maximum(&self) -> NonZeroU32 {
        self.maximum
    }

    /// Admits one more request, and returns how many more are possible; `None` if the maximum is reached.
    pub(crate) fn enter(self: &Arc<Self>, key: &LimitKey) -> Option<(Permit, u32)> {
        let key = self.secret.hash_one(key);
        let mut counts = self.shard(key).lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get(&key).copied().unwrap_or_default();
        let remaining = self.maximum.get().checked_sub(count + 1)?;
        counts.insert(key, count + 1);
        drop(counts);
        Some((Permit { counts: Arc::clone(self), key }, remaining))
    }

    fn shard(&self, key: u64) -> &Mutex<HashMap<u64, u32>> {
        // The map hashes with a different secret, so the same bits can be used here.
        &self.shards[usize::try_from(key % SHARDS as u64).unwrap_or_default()].0
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").field("maximum", &self.maximum).finish_non_exhaustive()
    }
}

/// One request in progress, until this is dropped.
pub(crate) struct Permit {
    counts: Arc<InFlight>,
    key: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.counts.shard(self.key).lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.key) {
            match count.get() - 1 {
                0 => drop(count.remove()),
                remaining => drop(count.insert(remaining)),
            }
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

pin_project! {
    /// A response body that keeps its request in progress until it is complete.
    #[derive(Debug, Default)]
    pub struct InFlightBody<B> {
        #[pin]
        pub(super) body: B,
        pub(super) permit: Option<Permit>,
    }
}

impl<B: Body> Body for InFlightBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || this.body.is_end_stream() {
            *this.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a refusal by an outer layer.
impl<B: From<Bytes>> From<Bytes> for InFlightBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self { body: B::from(bytes), permit: None }
    }
}
