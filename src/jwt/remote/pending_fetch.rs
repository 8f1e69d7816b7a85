//! A fetch from its preparation to its end.

use std::sync::{Arc, Weak};

use futures_util::{FutureExt, future::Shared};
use tokio::{runtime::Handle, sync::oneshot};

use super::{
    failure::FetchError,
    fetcher::{FetchRequest, FetchedKeys, Fetcher},
    key_set_cache::KeySetCache,
    refresh_schedule::FetchCause,
};
use crate::{error::Unavailable, time::Arrival};

/// Ready when a fetch has finished and its result is applied. It resolves to an error, because nothing is ever sent.
pub(super) type FetchCompletion = Shared<oneshot::Receiver<()>>;

/// A fetch that is marked as in flight, and is not spawned yet.
pub(super) struct PreparedFetch {
    fetcher: Arc<Fetcher>,
    request: FetchRequest,
    guard: FetchGuard,
}

impl PreparedFetch {
    pub(super) const fn new(fetcher: Arc<Fetcher>, request: FetchRequest, guard: FetchGuard) -> Self {
        Self { fetcher, request, guard }
    }

    pub(super) fn spawn(self, runtime: &Handle) {
        let Self { fetcher, request, mut guard } = self;
        runtime.spawn(async move {
            let result = fetcher.fetch(request).await;
            guard.finish(result);
        });
    }
}

/// Finishes a fetch exactly once: with its result, or with a failure when it is dropped before, because the runtime shut
/// down or a custom `Fetch` panicked.
pub(super) struct FetchGuard {
    cache: Weak<KeySetCache>,
    pub(super) cause: FetchCause,
    pub(super) number: u64,
    pub(super) started_at: Arrival,
    is_finished: bool,
    /// Completes [`FetchCompletion`] when it is dropped. Fields are dropped after [`Drop::drop`] has run, so requests that
    /// wait see the state with the result.
    _completion: oneshot::Sender<()>,
}

impl FetchGuard {
    pub(super) fn new(
        cache: &Arc<KeySetCache>,
        cause: FetchCause,
        number: u64,
        started_at: Arrival,
    ) -> (Self, FetchCompletion) {
        let (sender, completion) = oneshot::channel();
        let cache = Arc::downgrade(cache);
        let guard = Self { cache, cause, number, started_at, is_finished: false, _completion: sender };
        (guard, completion.shared())
    }

    fn finish(&mut self, result: Result<FetchedKeys, FetchError>) {
        self.is_finished = true;
        if let Some(cache) = self.cache.upgrade() {
            cache.finish_fetch(self, result);
        }
    }
}

impl Drop for FetchGuard {
    fn drop(&mut self) {
        if !self.is_finished {
            self.finish(Err(Unavailable::new("a fetch that was cancelled").into()));
        }
    }
}
