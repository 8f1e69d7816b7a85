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
    /// The report of the outage that is ongoing, if it was reported: its end is reported to the same observer.
    report: Option<Report>,
}

/// The observer that was notified of an outage.
#[derive(Clone, Debug)]
struct Report {
    #[cfg(feature = "audit")]
    observer: Option<Arc<dyn Observer>>,
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
        if !self.0.ongoing.load(Relaxed)
            && let Some(report) = self.begins()
        {
            log();
            #[cfg(not(feature = "audit"))]
            let _ = report;
            #[cfg(feature = "audit")]
            report.send(|| Notice::DependencyDown {
                dependency: self.0.dependency.into(),
                cause: cause.to_string().into(),
            });
        }
        let _ = cause;
    }

    /// Notes that the dependency responded.
    pub(crate) fn end(&self) {
        // The load keeps the line of the processor's cache shared while all is well.
        if self.0.ongoing.load(Relaxed)
            && let Some(report) = self.ends()
        {
            log::info!(dependency = %self.0.dependency, "a dependency responds again");
            #[cfg(feature = "audit")]
            report.send(|| Notice::DependencyUp { dependency: self.0.dependency.into() });
            #[cfg(not(feature = "audit"))]
            let _ = report;
        }
    }

    /// The report of an outage that begins; `None` if it has begun before, or is not to be reported.
    fn begins(&self) -> Option<Report> {
        let mut lines = self.0.lines();
        if self.0.ongoing.swap(true, Relaxed) {
            return None;
        }
        if lines.may_report() {
            lines.report = Some(self.0.report());
        }
        lines.report.clone()
    }

    /// The report of an outage that ends, if it was reported.
    fn ends(&self) -> Option<Report> {
        let mut lines = self.0.lines();
        if self.0.ongoing.swap(false, Relaxed) { lines.report.take() } else { None }
    }
}

impl Report {
    #[cfg(feature = "audit")]
    fn send(&self, notice: impl FnOnce() -> Notice) {
        if let Some(observer) = &self.observer {
            observer.observe(notice());
        }
    }
}

impl State {
    fn report(&self) -> Report {
        Report {
            #[cfg(feature = "audit")]
            observer: self.observer.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing depends on it any more: who counts outages is notified.
#[cfg(feature = "audit")]
impl Drop for State {
    fn drop(&mut self) {
        let report = self.lines().report.take();
        if let Some(report) = report {
            let dependency = self.dependency;
            // A panic while another one unwinds would abort the process.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                report.send(|| Notice::DependencyUp { dependency: dependency.into() })
            }));
        }
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
