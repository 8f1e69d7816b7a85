//! The background task that follows the schedule.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Notify, time::timeout};

use super::key_set_cache::KeySetCache;

/// The maximum sleep. The clock of the schedule is the wall clock, which may be set while the task sleeps.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// Starts fetches when they are due, until the cache is dropped. The reference is weak, so the task does not keep the cache
/// alive.
pub(super) struct RefreshTask {
    cache: Weak<KeySetCache>,
    notify: Arc<Notify>,
}

impl RefreshTask {
    pub(super) fn new(cache: &Arc<KeySetCache>, notify: Arc<Notify>) -> Self {
        Self { cache: Arc::downgrade(cache), notify }
    }

    pub(super) fn spawn(self, runtime: &Handle) {
        runtime.spawn(async move {
            while let Some(wait) = self.cache.upgrade().map(|cache| cache.follow_schedule()) {
                let _ = timeout(wait.clamp(Duration::from_secs(1), MAX_SLEEP), self.notify.notified()).await;
            }
        });
    }
}

impl Drop for RefreshTask {
    /// Allows a new task: the runtime may shut down before the cache, which is then used within another one.
    fn drop(&mut self) {
        if let Some(cache) = self.cache.upgrade() {
            cache.has_refresh_task.store(false, Ordering::Release);
        }
    }
}
