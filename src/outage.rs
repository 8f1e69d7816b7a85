//! Outages of dependencies, each of which is reported once.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

#[cfg(feature = "audit")]
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::log;
#[cfg(feature = "audit")]
use crate::notice::{Notice, NoticeQueue, Observer};

/// The state of one dependency: reports when it stops to respond and when it responds again, not each request that fails.
///
/// One that fails for every other request is reported as down until it responds a minute after its first failure.
///
/// A clone shares the state.
#[derive(Clone, Debug)]
pub(crate) struct Outage(Arc<State>);

#[derive(Debug)]
struct State {
    dependency: &'static str,
    issuer: Option<Arc<str>>,
    lines: Mutex<Lines>,
    recipient: Mutex<Recipient>,
    /// Changed with `lines` locked, so that it changes together with `Lines::is_reported`. Read without the lock: while nothing
    /// changes, which is the usual case, nobody waits.
    ongoing: AtomicBool,
    /// Filled with `lines` locked, so that the notices are in the order of the outages.
    #[cfg(feature = "audit")]
    notices: NoticeQueue,
}

/// The lines of the current interval.
#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    count: u32,
    /// The recipient of the report of the outage that is ongoing: its end is reported there as well.
    reported_to: Option<Recipient>,
}

/// The log, and the observer that is notified besides.
#[derive(Clone, Debug, Default)]
struct Recipient {
    #[cfg(feature = "audit")]
    observer: Option<Arc<dyn Observer>>,
}

impl Outage {
    /// The state of the dependency with this name.
    pub(crate) fn of(dependency: &'static str) -> Self {
        Self::new(dependency, None)
    }

    /// The state of a dependency of an issuer.
    #[cfg(feature = "jwt")]
    pub(crate) fn of_issuer(dependency: &'static str, issuer: &str) -> Self {
        Self::new(dependency, Some(issuer.into()))
    }

    fn new(dependency: &'static str, issuer: Option<Arc<str>>) -> Self {
        Self(Arc::new(State {
            dependency,
            issuer,
            lines: Mutex::default(),
            recipient: Mutex::default(),
            ongoing: AtomicBool::new(false),
            #[cfg(feature = "audit")]
            notices: NoticeQueue::default(),
        }))
    }

    /// Also reports outages to this observer.
    #[cfg(feature = "audit")]
    pub(crate) fn observed_by(&self, observer: &Arc<dyn Observer>) {
        self.0.recipient().observer = Some(Arc::clone(observer));
    }

    /// Also reports outages to the observer of another dependency, if that has one.
    #[cfg(all(feature = "audit", feature = "jwt"))]
    pub(crate) fn observed_with(&self, other: &Self) {
        let observer = other.0.recipient().observer.clone();
        if let Some(observer) = observer {
            self.observed_by(&observer);
        }
    }

    /// Notes that the dependency did not respond, and calls `log` if it responded before.
    pub(crate) fn begin(&self, cause: impl fmt::Display, log: impl FnOnce()) {
        if !self.0.ongoing.load(Relaxed) && self.begins(cause) {
            log();
            #[cfg(feature = "audit")]
            self.0.notices.deliver();
        }
    }

    /// Notes that the dependency responded.
    pub(crate) fn end(&self) {
        // The load keeps the line of the processor's cache shared while all is well.
        if self.0.ongoing.load(Relaxed) && self.ends() {
            let State { dependency, issuer, .. } = &*self.0;
            match issuer {
                Some(issuer) => {
                    log::info!(dependency = %dependency, issuer = %issuer, "a dependency responds again");
                }
                None => log::info!(dependency = %dependency, "a dependency responds again"),
            }
            #[cfg(feature = "audit")]
            self.0.notices.deliver();
        }
    }

    /// Returns whether an outage begins that is to be reported: not if it has begun before.
    fn begins(&self, cause: impl fmt::Display) -> bool {
        let mut lines = self.0.lines();
        if self.0.ongoing.swap(true, Relaxed) {
            return false;
        }
        lines.count();
        let recipient = self.0.recipient().clone();
        #[cfg(feature = "audit")]
        recipient.enqueue(&self.0.notices, || Notice::DependencyDown {
            dependency: self.0.dependency.into(),
            issuer: self.0.issuer.clone(),
            cause: cause.to_string().into(),
        });
        let _ = cause;
        lines.reported_to = Some(recipient);
        true
    }

    /// Returns whether an outage ends: not if it goes on, or has ended before.
    ///
    /// The last outage that may be reported in an interval does not end within it. If it did, the next one, which may last,
    /// would not be reported.
    fn ends(&self) -> bool {
        let mut lines = self.0.lines();
        if lines.is_full() || !self.0.ongoing.swap(false, Relaxed) {
            return false;
        }
        let recipient = lines.reported_to.take();
        #[cfg(feature = "audit")]
        if let Some(recipient) = &recipient {
            recipient.enqueue(&self.0.notices, || self.0.up());
        }
        recipient.is_some()
    }
}

#[cfg(feature = "audit")]
impl Recipient {
    fn enqueue(&self, notices: &NoticeQueue, notice: impl FnOnce() -> Notice) {
        if let Some(observer) = &self.observer {
            notices.enqueue(observer, notice());
        }
    }
}

impl State {
    #[cfg(feature = "audit")]
    fn up(&self) -> Notice {
        Notice::DependencyUp { dependency: self.dependency.into(), issuer: self.issuer.clone() }
    }

    fn recipient(&self) -> MutexGuard<'_, Recipient> {
        self.recipient.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing depends on it any more: who counts outages is notified.
#[cfg(feature = "audit")]
impl Drop for State {
    fn drop(&mut self) {
        let reported_to = self.lines().reported_to.take();
        if let Some(recipient) = reported_to {
            // A panic while another one unwinds would abort the process.
            recipient.enqueue(&self.notices, || self.up());
            let _ = catch_unwind(AssertUnwindSafe(|| self.notices.deliver()));
        }
    }
}

impl Lines {
    /// The interval, and the number of outages that are reported in it: a dependency that fails for every other request would
    /// otherwise begin an outage with every other request.
    const INTERVAL: Duration = Duration::from_secs(60);
    const MAX: u32 = 10;

    /// Counts an outage that begins.
    fn count(&mut self) {
        if self.is_over() {
            *self = Self { since: Some(Instant::now()), ..Self::default() };
        }
        self.count += 1;
    }

    /// Returns whether no other outage may be reported in the current interval.
    fn is_full(&self) -> bool {
        self.count >= Self::MAX && !self.is_over()
    }

    fn is_over(&self) -> bool {
        self.since.is_none_or(|since| since.elapsed() >= Self::INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails and responds by turns, and returns how often the beginning was logged.
    fn flap(outage: &Outage, times: usize) -> usize {
        let mut logged = 0;
        for _ in 0..times {
            outage.begin("timed out", || logged += 1);
            outage.end();
        }
        logged
    }

    #[test]
    fn a_dependency_that_flaps_is_down_until_it_responds_a_minute_later() {
        let outage = Outage::of("a store");
        assert_eq!(flap(&outage, 20), 10);
        assert!(outage.0.ongoing.load(Relaxed), "it is reported as down");
        outage.0.lines().since = Instant::now().checked_sub(Lines::INTERVAL);
        outage.end();
        assert!(!outage.0.ongoing.load(Relaxed), "it is reported as up");
        assert_eq!(flap(&outage, 20), 10, "in the next interval");
    }
}
