//! When keys were last used, written behind.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;

use super::{
    record::KeyId,
    store::{KeyStore, KeyUse},
};
use crate::{
    caller::OnAdmission,
    error::Unavailable,
    log::{self, Causes},
    time::UnixTime,
};

/// How many keys wait to be written down; uses of more keys at once are passed over.
const WAITING: usize = 100_000;

/// How many are written at a time.
const BATCH: usize = 500;

/// Collects uses and writes them to the store, never on a request's way.
pub(super) struct Ledger {
    store: Arc<dyn KeyStore>,
    interval: Duration,
    timeout: Duration,
    waiting: Mutex<Vec<Arc<Page>>>,
    /// Whether somebody will flush.
    is_armed: AtomicBool,
    /// Held while somebody does.
    flushing: tokio::sync::Mutex<()>,
}

/// The last use of one key.
struct Page {
    id: KeyId,
    last: AtomicU64,
    is_waiting: AtomicBool,
}

/// Notes the uses of one key.
pub(super) struct Usage {
    ledger: Arc<Ledger>,
    page: Arc<Page>,
}

impl Ledger {
    pub(super) fn new(store: Arc<dyn KeyStore>, interval: Duration, timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            store,
            interval,
            timeout,
            waiting: Mutex::default(),
            is_armed: AtomicBool::new(false),
            flushing: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn open(self: &Arc<Self>, id: KeyId) -> Usage {
        let page = Page { id, last: AtomicU64::new(0), is_waiting: AtomicBool::new(false) };
        Usage { ledger: Arc::clone(self), page: Arc::new(page) }
    }

    /// Writes down what waits, after who does so already; what the store does not take waits on.
    pub(super) async fn flush(&self) -> Result<(), Unavailable> {
        let _flushing = self.flushing.lock().await;
        let batches = self.lock().len().div_ceil(BATCH);
        for _ in 0..batches {
            let mut taken = self.take();
            let uses: Vec<_> = taken.pages.iter().map(|page| page.close()).collect();
            let written = tokio::time::timeout(self.timeout, self.store.touch(&uses).wait()).await;
            written.map_err(|late| Unavailable::new("the key store").because(late))??;
            taken.pages.clear();
        }
        Ok(())
    }

    fn take(&self) -> Taken<'_> {
        let mut waiting = self.lock();
        let rest = waiting.len().saturating_sub(BATCH);
        Taken { ledger: self, pages: waiting.split_off(rest) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Page>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(self: &Arc<Self>, page: &Arc<Page>) {
        let mut waiting = self.lock();
        if waiting.len() >= WAITING {
            page.is_waiting.store(false, Ordering::Release);
            return;
        }
        waiting.push(Arc::clone(page));
        drop(waiting);
        self.arm();
    }

    /// Sees to it that somebody flushes after the interval, where there is a runtime.
    fn arm(self: &Arc<Self>) {
        if self.is_armed.load(Ordering::Acquire) || self.is_armed.swap(true, Ordering::AcqRel) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            self.is_armed.store(false, Ordering::Release);
            return;
        };
        let armed = Armed(Arc::clone(self));
        runtime.spawn(async move {
            tokio::time::sleep(armed.0.interval).await;
            let ledger = Arc::clone(&armed.0);
            drop(armed);
            if let Err(error) = ledger.flush().await {
                log::warning!(error = %Causes(&error), "the last uses of keys could not be written; they wait");
                ledger.arm();
            }
        });
    }
}

/// Somebody will flush; nobody will any more when it is dropped, be it with the runtime.
struct Armed(Arc<Ledger>);

impl Drop for Armed {
    fn drop(&mut self) {
        self.0.is_armed.store(false, Ordering::Release);
    }
}

/// What is being written: put back, unless it was.
struct Taken<'a> {
    ledger: &'a Ledger,
    pages: Vec<Arc<Page>>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.pages.retain(|page| !page.is_waiting.swap(true, Ordering::AcqRel));
        if !self.pages.is_empty() {
            self.ledger.lock().append(&mut self.pages);
        }
    }
}

impl Page {
    /// What is to be written; a use from here on waits anew.
    fn close(&self) -> KeyUse {
        self.is_waiting.swap(false, Ordering::AcqRel);
        KeyUse::new(self.id.clone(), UnixTime::from_secs(self.last.load(Ordering::Acquire)))
    }
}

impl OnAdmission for Usage {
    fn admitted(&self, now: UnixTime) {
        let page = &self.page;
        if page.last.load(Ordering::Relaxed) < now.as_secs() {
            page.last.fetch_max(now.as_secs(), Ordering::AcqRel);
            if page.is_waiting.swap(true, Ordering::AcqRel) {
                // It waits already, and perhaps for somebody who is gone.
                self.ledger.arm();
            } else {
                self.ledger.enqueue(page);
            }
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("interval", &self.interval).finish_non_exhaustive()
    }
}
