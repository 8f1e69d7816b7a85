//! Outages of dependencies, each of which is reported once.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
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
    ongoing: AtomicBool,
    /// The outage that is ongoing was reported: its end is as well.
    is_reported: AtomicBool,
}

/// The lines of the current interval.
#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    count: u32,
}

impl Outage {
    /// The interval, and the number of outages that are reported in it: a dependency that fails for every other request would
    /// otherwise begin an outage with every other request.
    const INTERVAL: Duration = Duration::from_secs(60);
    const MAX_LINES: u32 = 10;

    /// The state of the dependency with this name.
    pub(crate) fn of(dependency: &'static str) -> Self {
        Self(Arc::new(State {
            dependency,
            lines: Mutex::default(),
            #[cfg(feature = "audit")]
            observer: Mutex::default(),
            ongoing: AtomicBool::new(false),
            is_reported: AtomicBool::new(false),
        }))
    }

    /// Also reports outages to this observer.
    #[cfg(feature = "audit")]
    pub(crate) fn observed_by(&self, observer: &Arc<dyn Observer>) {
        *self.0.observer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(observer));
    }

    /// Notes that the dependency did not respond, and calls `log` if it responded before.
    pub(crate) fn begin(&self, cause: impl fmt::Display, log: impl FnOnce()) {
        if !self.0.ongoing.swap(true, Relaxed) && self.may_report() {
            self.0.is_reported.store(true, Relaxed);
            log();
            #[cfg(feature = "audit")]
            self.notify(|dependency| Notice::DependencyDown { dependency, cause: cause.to_string().into() });
        }
        let _ = cause;
    }

    /// Notes that the dependency responded.
    pub(crate) fn end(&self) {
        // The load keeps the line of the processor's cache shared while all is well.
        let is_over = self.0.ongoing.load(Relaxed) && self.0.ongoing.swap(false, Relaxed);
        if is_over && self.0.is_reported.swap(false, Relaxed) {
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

    fn may_report(&self) -> bool {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.since.is_none_or(|since| since.elapsed() >= Self::INTERVAL) {
            *lines = Lines { since: Some(Instant::now()), count: 0 };
        }
        lines.count += 1;
        lines.count <= Self::MAX_LINES
    }
}
