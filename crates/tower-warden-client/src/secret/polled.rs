use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tokio::task::AbortHandle;
use tower_warden::{Eventual, Moment, UnixTime};

use super::{ChangeSender, Changes, Polling, Secret, SecretError, SecretErrorKind, Versioned};

/// Reads secrets where they are kept.
pub(super) trait Reader: Send + Sync + 'static {
    /// Reads one secret, not from a cache.
    fn read(&self, name: &str) -> impl Future<Output = Result<Reading, SecretError>> + Send;

    /// Reads the version before the current one, which was read for the first time. By default, there is none.
    fn read_replaced(&self, _name: &str, _current: &Reading) -> impl Future<Output = Option<Replaced>> + Send {
        std::future::ready(None)
    }
}

/// The result of reading a secret.
pub(super) struct Reading {
    pub(super) secret: Secret,
    /// The number that the store gives to its versions, if it does.
    pub(super) version: Option<u64>,
}

/// A version that another one has replaced.
pub(super) struct Replaced {
    pub(super) secret: Secret,
    /// The time at which it was replaced.
    pub(super) at: UnixTime,
}

/// A reader, and the versions that it has read.
pub(super) struct Polled<R> {
    pub(super) reader: R,
    pub(super) polling: Polling,
    entries: Mutex<HashMap<Box<str>, Entry>>,
    /// The lock of each name that is being read, held until its entry is replaced, so that a slow reading does not
    /// replace a later one. Its content is the last failure, for those that came before its end: each of them would
    /// otherwise wait for a source that is down, one after another.
    turns: Mutex<HashMap<Box<str>, Weak<Turn>>>,
    /// The number of arrivals of callers and ends of failures, which puts them in an order. A clock may show the same time
    /// for two of them.
    order: AtomicU64,
    changes: ChangeSender,
    task: OnceLock<AbortHandle>,
}

type Turn = tokio::sync::Mutex<Option<Failed>>;

/// A reading that has failed.
#[derive(Clone, Copy)]
struct Failed {
    /// The place of its end in the order.
    ended: u64,
    kind: SecretErrorKind,
}

struct Entry {
    versioned: Versioned<Secret>,
    /// The end of the overlap on the clock that is never set back: the one of the version, which callers compare, is
    /// reached later if the other clock is set back.
    overlap_end: UnixTime,
    /// The time at which the last reading began, whatever its result, on the clock that is never set back.
    read_at: UnixTime,
    is_failing: bool,
}

impl<R: Reader> Polled<R> {
    pub(super) fn new(reader: R, polling: Polling) -> Self {
        Self {
            reader,
            polling,
            entries: Mutex::default(),
            turns: Mutex::default(),
            order: AtomicU64::default(),
            changes: ChangeSender::default(),
            task: OnceLock::new(),
        }
    }

    pub(super) fn subscribe(&self) -> Changes {
        self.changes.subscribe()
    }

    /// Returns the cached value while it is recent, or while another caller reads it again. Reads the secret otherwise.
    pub(super) fn get(self: &Arc<Self>, name: &str) -> Eventual<Result<Versioned<Secret>, SecretError>> {
        if let Some(recent) = self.recent(name) {
            return Eventual::Now(Ok(recent));
        }
        let turn = self.turn(name);
        let last = match turn.try_lock() {
            Ok(_) => None,
            Err(_) => self.last(name),
        };
        if let Some(last) = last {
            return Eventual::Now(Ok(last));
        }
        let (this, name) = (Arc::clone(self), Box::<str>::from(name));
        // The place where the secret is kept.
        Eventual::later(async move {
            let arrived = this.next();
            let mut turn = match turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => match this.last(&name) {
                    Some(last) => return Ok(last),
                    None => turn.lock().await,
                },
            };
            // Another caller may have read it in the meantime.
            if let Some(recent) = this.recent(&name) {
                return Ok(recent);
            }
            // A failure from before the arrival states nothing about the source now. A reading that was given up has no
            // result.
            if let Some(failed) = turn.as_ref().filter(|failed| failed.ended > arrived) {
                return Err(SecretError::new(failed.kind, name, "another caller could not read it either"));
            }
            let read = this.read(&name).await;
            *turn = read.as_ref().err().map(|error| Failed { ended: this.next(), kind: error.kind() });
            read
        })
    }

    /// The next place in the order of arrivals and failures.
    fn next(&self) -> u64 {
        self.order.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts the task that reads all secrets that were ever read, until the last owner is dropped.
    pub(super) fn poll_in_background(self: &Arc<Self>) {
        self.task.get_or_init(|| {
            tokio::spawn(poll_periodically(Arc::downgrade(self), self.polling.interval)).abort_handle()
        });
    }

    async fn poll(&self) {
        let names: Vec<Box<str>> = self.entries().keys().cloned().collect();
        // At the same time, so that one that is slow to read does not delay the others.
        join_all(names.iter().map(|name| async move {
            let turn = self.turn(name);
            let _turn = turn.lock().await;
            // A failure is logged, and the last value remains in use.
            let _ = self.read(name).await;
        }))
        .await;
    }

    /// The lock of a name, which is kept while it is in use.
    fn turn(&self, name: &str) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(name).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(name.into(), Arc::downgrade(&turn));
        turn
    }

    /// The last value, however old it is.
    fn last(&self, name: &str) -> Option<Versioned<Secret>> {
        let moment = self.polling.clock.moment();
        let mut entries = self.entries();
        let entry = entries.get_mut(name)?;
        entry.forget_expired(moment);
        Some(entry.versioned.clone())
    }

    fn recent(&self, name: &str) -> Option<Versioned<Secret>> {
        // A task that is a little late causes no reading in the path of requests.
        let max_age =
            if self.task.get().is_some() { self.polling.interval.saturating_mul(2) } else { self.polling.interval };
        let moment = self.polling.clock.moment();
        let mut entries = self.entries();
        let entry = entries.get_mut(name)?;
        entry.forget_expired(moment);
        (moment.steady < entry.read_at + max_age).then(|| entry.versioned.clone())
    }

    /// Reads a secret. The caller holds the lock of its name.
    async fn read(&self, name: &str) -> Result<Versioned<Secret>, SecretError> {
        let read_at = self.polling.clock.steady();
        // Before the reading, because its caller may give up: the next one returns the last value then.
        if let Some(entry) = self.entries().get_mut(name) {
            entry.read_at = read_at;
        }
        let reading = self.reader.read(name).await;
        let replaced = match &reading {
            Ok(current) if !self.entries().contains_key(name) => self.reader.read_replaced(name, current).await,
            _ => None,
        };
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(name) else {
            let (versioned, overlap_end) = self.first(reading?, replaced);
            let entry = Entry { versioned: versioned.clone(), overlap_end, read_at, is_failing: false };
            entries.insert(name.into(), entry);
            return Ok(versioned);
        };
        match reading {
            Ok(reading) => self.update(entry, name, reading),
            Err(error) => {
                if !entry.is_failing {
                    let (name, kind) = (name.escape_debug(), error.kind());
                    tracing::warn!(%name, ?kind, "a secret cannot be read again; its last value remains in use");
                }
                entry.is_failing = true;
            }
        }
        Ok(entry.versioned.clone())
    }

    /// The first version that is known, with the one before if it is still valid; and the end of the overlap on the clock
    /// that is never set back.
    fn first(&self, reading: Reading, replaced: Option<Replaced>) -> (Versioned<Secret>, UnixTime) {
        let version = reading.version.unwrap_or(1);
        let moment = self.polling.clock.moment();
        let end = |replaced: &Replaced| replaced.at + self.polling.overlap;
        match replaced.filter(|replaced| moment.now < end(replaced)) {
            Some(replaced) if replaced.secret != reading.secret => {
                let end = end(&replaced);
                let before = Versioned::new(replaced.secret, version.saturating_sub(1));
                // No more than the overlap, if the clock of the store is ahead.
                let left = Duration::from_secs(end.as_secs() - moment.now.as_secs()).min(self.polling.overlap);
                (before.rotated(reading.secret, version, end), moment.steady + left)
            }
            _ => (Versioned::new(reading.secret, version), moment.steady),
        }
    }

    fn update(&self, entry: &mut Entry, name: &str, reading: Reading) {
        let moment = self.polling.clock.moment();
        entry.is_failing = false;
        if reading.secret != **entry.versioned.current() {
            let version = reading.version.unwrap_or(0).max(entry.versioned.version() + 1);
            entry.versioned = entry.versioned.rotated(reading.secret, version, moment.now + self.polling.overlap);
            entry.overlap_end = moment.steady + self.polling.overlap;
            tracing::info!(name = %name.escape_debug(), version, "a secret has changed");
            self.changes.send();
        }
        entry.forget_expired(moment);
    }

    /// No code panics while it holds the lock, and an entry is replaced as a whole.
    fn entries(&self) -> MutexGuard<'_, HashMap<Box<str>, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Drops the previous value when the overlap is over by either clock: one that was set back does not extend it.
    fn forget_expired(&mut self, moment: Moment) {
        if moment.steady >= self.overlap_end {
            self.versioned.forget_previous();
        } else {
            self.versioned.forget_expired(moment.now);
        }
    }
}

impl<R> Drop for Polled<R> {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

async fn poll_periodically<R: Reader>(polled: Weak<Polled<R>>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(polled) = polled.upgrade() else { return };
        polled.poll().await;
    }
}
