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
use crate::notice::{Notice, Observer};

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
        if !self.0.ongoing.load(Relaxed)
            && let Some(recipient) = self.begins()
        {
            log();
            #[cfg(not(feature = "audit"))]
            let _ = recipient;
            #[cfg(feature = "audit")]
            recipient.notify(|| Notice::DependencyDown {
                dependency: self.0.dependency.into(),
                issuer: self.0.issuer.clone(),
                cause: cause.to_string().into(),
            });
        }
        let _ = cause;
    }

    /// Notes that the dependency responded.
    pub(crate) fn end(&self) {
        // The load keeps the line of the processor's cache shared while all is well.
        if self.0.ongoing.load(Relaxed)
            && let Some(recipient) = self.ends()
        {
            let State { dependency, issuer, .. } = &*self.0;
            match issuer {
                Some(issuer) => {
                    log::info!(dependency = %dependency, issuer = %issuer, "a dependency responds again");
                }
                None => log::info!(dependency = %dependency, "a dependency responds again"),
            }
            #[cfg(feature = "audit")]
            recipient.notify(|| self.0.up());
            #[cfg(not(feature = "audit"))]
            let _ = recipient;
        }
    }

    /// The recipient of the report of an outage that begins; `None` if it has begun before.
    fn begins(&self) -> Option<Recipient> {
        let mut lines = self.0.lines();
        if self.0.ongoing.swap(true, Relaxed) {
            return None;
        }
        lines.count();
        lines.reported_to = Some(self.0.recipient().clone());
        lines.reported_to.clone()
    }

    /// The recipient of the report of an outage that ends; `None` if it goes on, or has ended before.
    ///
    /// The last outage that may be reported in an interval does not end within it. If it did, the next one, which may last,
    /// would not be reported.
    fn ends(&self) -> Option<Recipient> {
        let mut lines = self.0.lines();
        if !lines.is_full() && self.0.ongoing.swap(false, Relaxed) { lines.reported_to.take() } else { None }
    }
}

#[cfg(feature = "audit")]
impl Recipient {
    fn notify(&self, notice: impl FnOnce() -> Notice) {
        if let Some(observer) = &self.observer {
            observer.observe(notice());
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
            let _ = catch_unwind(AssertUnwindSafe(|| recipient.notify(|| self.up())));
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
