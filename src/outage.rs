//! Outages of dependencies, each of which is reported once.

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::log;
#[cfg(feature = "audit")]
use crate::notice::{Notice, Observer};

/// The state of one dependency: reports when it stops to respond and when it responds again, not each request that fails.
///
/// A clone shares the state.
#[derive(Clone, Debug)]
pub(crate) struct Outage(Arc<State>);

#[derive(Debug)]
struct State {
    dependency: &'static str,
    lines: Mutex<Lines>,
    #[cfg(feature = "audit")]
    observer: Mutex<Option<Arc<dyn Observer>>>,
    /// Changed with `lines` locked, so that it changes together with `Lines::is_reported`. Read without the lock: while nothing
    /// changes, which is the usual case, nobody waits.
    ongoing: AtomicBool,
}

/// The lines of the current interval.
#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    count: u32,
    /// The outage that is ongoing was reported: its end is as well.
    is_reported: bool,
}

impl Outage {
    /// The state of the dependency with this name.
    pub(crate) fn of(dependency: &'static str) -> Self {
        Self(Arc::new(State {
            dependency,
            lines: Mutex::default(),
            #[cfg(feature = "audit")]
            observer: Mutex::default(),
            ongoing: AtomicBool::new(false),
        }))
    }

    /// Also reports outages to this observer.
    #[cfg(feature = "audit")]
    pub(crate) fn observed_by(&self, observer: &Arc<dyn Observer>) {
        *self.0.observer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(observer));
    }

    /// Notes that the dependency did not respond, and calls `log` if it responded before.
    pub(crate) fn begin(&self, cause: impl fmt::Display, log: impl FnOnce()) {
        if !self.0.ongoing.load(Relaxed) && self.begins() {
            log();
            #[cfg(feature = "audit")]
            self.notify(|dependency| Notice::DependencyDown { dependency, cause: cause.to_string().into() });
        }
        let _ = cause;
    }

    /// Notes that the dependency responded.
    pub(crate) fn end(&self) {
        // The load keeps the line of the processor's cache shared while all is well.
        if self.0.ongoing.load(Relaxed) && self.ends() {
            log::info!(dependency = %self.0.dependency, "a dependency responds again");
            #[cfg(feature = "audit")]
            self.notify(|dependency| Notice::DependencyUp { dependency });
        }
    }

    #[cfg(feature = "audit")]
    fn notify(&self, notice: impl FnOnce(Arc<str>) -> Notice) {
        let observer = self.0.observer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(observer) = observer {
            observer.observe(notice(self.0.dependency.into()));
        }
    }

    /// Returns whether an outage begins that is to be reported.
    fn begins(&self) -> bool {
        let mut lines = self.lines();
        if self.0.ongoing.swap(true, Relaxed) {
            return false;
        }
        lines.is_reported = lines.may_report();
        lines.is_reported
    }

    /// Returns whether an outage ends that was reported.
    fn ends(&self) -> bool {
        let mut lines = self.lines();
        self.0.ongoing.swap(false, Relaxed) && mem::take(&mut lines.is_reported)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// The interval, and the number of outages that are reported in it: a dependency that fails for every other request would
    /// otherwise begin an outage with every other request.
    const INTERVAL: Duration = Duration::from_secs(60);
    const MAX: u32 = 10;

    fn may_report(&mut self) -> bool {
        if self.since.is_none_or(|since| since.elapsed() >= Self::INTERVAL) {
            *self = Self { since: Some(Instant::now()), ..Self::default() };
        }
        self.count += 1;
        self.count <= Self::MAX
    }
}
