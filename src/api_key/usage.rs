//! The last uses of keys, written to the store in the background.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;

use super::{key_id::KeyId, query::KeyUse, store::KeyStore};
use crate::{
    caller::OnAdmission,
    error::Unavailable,
    log::{self, Causes},
    time::UnixTime,
};

/// The maximum number of keys with a use that is not written yet; the uses of further keys are not recorded.
const QUEUE_CAPACITY: usize = 100_000;

/// The shortest time from a flush that has failed to the next one.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The number of uses in one write.
const BATCH: usize = 500;

/// Collects the last uses of keys and writes them to the store, outside of requests.
///
/// Invariant: a use that was recorded is in the queue, or in a [`Batch`] that is being written and is put back if the write
/// fails or is cancelled. A key is in the queue at most once: the thread that sets its `is_queued` from false to true adds it.
pub(super) struct UsageRecorder {
    store: Arc<dyn KeyStore>,
    interval: Duration,
    timeout: Duration,
    queue: Mutex<Vec<Arc<LastUse>>>,
    /// True if a task is going to flush after the interval.
    is_flush_scheduled: AtomicBool,
    /// Held during a flush, so that a second flush waits for uses that the first may put back.
    flushing: tokio::sync::Mutex<()>,
}

/// The last use of one key.
struct LastUse {
    id: KeyId,
    at: AtomicU64,
    is_queued: AtomicBool,
}

/// Records the uses of one key; part of its cached identity.
pub(super) struct KeyUsage {
    recorder: Arc<UsageRecorder>,
    last_use: Arc<LastUse>,
}

impl UsageRecorder {
    pub(super) fn new(store: Arc<dyn KeyStore>, interval: Duration, timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            store,
            interval,
            timeout,
            queue: Mutex::default(),
            is_flush_scheduled: AtomicBool::new(false),
            flushing: tokio::sync::Mutex::default(),
        })
    }

    /// Creates the usage of one key.
    pub(super) fn key(self: &Arc<Self>, id: KeyId) -> KeyUsage {
        let last_use = LastUse { id, at: AtomicU64::new(0), is_queued: AtomicBool::new(false) };
        KeyUsage { recorder: Arc::clone(self), last_use: Arc::new(last_use) }
    }

    /// Writes the queued uses, after a flush in progress; those that the store does not accept stay queued.
    pub(super) async fn flush(&self) -> Result<(), Unavailable> {
        let _flushing = self.flushing.lock().await;
        let batches = self.lock().len().div_ceil(BATCH);
        for _ in 0..batches {
            let mut batch = self.next_batch();
            let uses: Vec<_> = batch.uses.iter().map(|last_use| last_use.dequeue()).collect();
            let written = tokio::time::timeout(self.timeout, self.store.touch(&uses).wait()).await;
            written.map_err(|late| Unavailable::new("the key store").because(late))??;
            batch.uses.clear();
        }
        Ok(())
    }

    fn next_batch(&self) -> Batch<'_> {
        let mut queue = self.lock();
        let rest = queue.len().saturating_sub(BATCH);
        Batch { recorder: self, uses: queue.split_off(rest) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<LastUse>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(self: &Arc<Self>, last_use: &Arc<LastUse>) {
        let mut queue = self.lock();
        if queue.len() >= QUEUE_CAPACITY {
            last_use.is_queued.store(false, Ordering::Release);
            return;
        }
        queue.push(Arc::clone(last_use));
        drop(queue);
        self.schedule_flush(self.interval);
    }

    /// Spawns a task that flushes after a time, unless there is one, or no runtime.
    fn schedule_flush(self: &Arc<Self>, after: Duration) {
        if self.is_flush_scheduled.load(Ordering::Acquire) || self.is_flush_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            self.is_flush_scheduled.store(false, Ordering::Release);
            return;
        };
        let scheduled = ScheduledFlush(Arc::clone(self));
        runtime.spawn(async move {
            tokio::time::sleep(after).await;
            let recorder = Arc::clone(&scheduled.0);
            // Before the flush: a use that this flush misses schedules the next one.
            drop(scheduled);
            if let Err(error) = recorder.flush().await {
                log::warning!(error = %Causes(&error), "the last uses of keys could not be written; they stay queued");
                recorder.schedule_flush(recorder.interval.max(RETRY_DELAY));
            }
        });
    }
}

/// A scheduled flush. Dropped when the flush begins, or without a flush when the runtime shuts down; in both cases the next
/// use schedules another one.
struct ScheduledFlush(Arc<UsageRecorder>);

impl Drop for ScheduledFlush {
    fn drop(&mut self) {
        self.0.is_flush_scheduled.store(false, Ordering::Release);
    }
}

/// Uses that are being written. Those that are left when it is dropped were not written and are queued again, unless a newer
/// use has queued the key in the meantime.
struct Batch<'a> {
    recorder: &'a UsageRecorder,
    uses: Vec<Arc<LastUse>>,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.uses.retain(|last_use| !last_use.is_queued.swap(true, Ordering::AcqRel));
        if !self.uses.is_empty() {
            self.recorder.lock().append(&mut self.uses);
        }
    }
}

impl LastUse {
    /// Returns the use to be written.
    ///
    /// The flag is cleared before the time is read: a use in between is part of what is written, or queues the key again.
    fn dequeue(&self) -> KeyUse {
        self.is_queued.swap(false, Ordering::AcqRel);
        KeyUse::new(self.id.clone(), UnixTime::from_secs(self.at.load(Ordering::Acquire)))
    }
}

impl OnAdmission for KeyUsage {
    fn admitted(&self, now: UnixTime) {
        let last_use = &self.last_use;
        if last_use.at.load(Ordering::Relaxed) < now.as_secs() {
            last_use.at.fetch_max(now.as_secs(), Ordering::AcqRel);
            if last_use.is_queued.swap(true, Ordering::AcqRel) {
                // The task that was to flush may have been dropped with its runtime.
                self.recorder.schedule_flush(self.recorder.interval);
            } else {
                self.recorder.enqueue(last_use);
            }
        }
    }
}

impl fmt::Debug for UsageRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageRecorder").field("interval", &self.interval).finish_non_exhaustive()
    }
}
