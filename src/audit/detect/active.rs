//! The alerts that are raised.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use super::{
    alert::{Alert, AlertState, Detection},
    times::Times,
};
use crate::log;

/// The most alerts of one detection that are raised at the same time. A bound for each, so that those that anybody can
/// cause take no room from the others; and an alert that is raised is not cleared for want of room.
const MAX: usize = 1_024;

/// The time by which the clocks of a guard and of the events may differ, in milliseconds.
const SKEW: u64 = 60_000;

/// The cause of an alert: the hash of a caller, key or peer, and that of the name of what is new.
pub(super) type Cause = (Detection, u64, u64);

#[derive(Debug)]
pub(super) struct Active {
    alerts: RwLock<Alerts>,
    /// The time after which an alert is cleared, in milliseconds.
    calm: u64,
    count: AtomicUsize,
    dropped: AtomicU64,
    /// A time after which no alert is cleared.
    last: AtomicU64,
    /// A time before which no alert is cleared.
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Alerts {
    by_cause: HashMap<Cause, Raised>,
    /// The number of alerts of each detection.
    counts: [usize; Detection::COUNT],
}

#[derive(Debug)]
struct Raised {
    alert: Alert,
    calm_at: u64,
}

impl Active {
    pub(super) fn new(calm: u64) -> Self {
        Self {
            alerts: RwLock::default(),
            calm,
            count: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            last: AtomicU64::new(0),
            next: AtomicU64::new(u64::MAX),
        }
    }

    /// The time at which an alert is cleared whose cause was seen last at this time.
    pub(super) const fn calm_after(&self, at: u64) -> u64 {
        at.saturating_add(self.calm)
    }

    /// Keeps an alert raised until `calm_at` at least, and returns whether it was raised before.
    pub(super) fn keep(&self, cause: &Cause, calm_at: u64, count: u64) -> bool {
        if self.count.load(Relaxed) == 0 {
            return false;
        }
        let mut alerts = self.write();
        let Some(raised) = alerts.by_cause.get_mut(cause) else { return false };
        raised.calm_at = raised.calm_at.max(calm_at);
        raised.alert.count = raised.alert.count.max(count);
        self.last.fetch_max(calm_at, Relaxed);
        true
    }

    /// Raises an alert, and returns it; `None` if it is raised already, or if there is no room.
    pub(super) fn raise(&self, cause: Cause, calm_at: u64, alert: impl FnOnce() -> Alert) -> Option<Alert> {
        let mut alerts = self.write();
        let Alerts { by_cause, counts } = &mut *alerts;
        let count = &mut counts[cause.0.index()];
        let Entry::Vacant(vacant) = by_cause.entry(cause) else { return None };
        if *count >= MAX {
            let is_first = self.dropped.fetch_add(1, Relaxed) == 0;
            let detection = cause.0;
            // A subscriber of the log may ask for the alerts.
            drop(alerts);
            if is_first {
                log::warning!(detection = %detection.as_str(), "there are too many alerts; further ones are dropped");
            }
            return None;
        }
        *count += 1;
        let alert = vacant.insert(Raised { alert: alert(), calm_at }).alert.clone();
        self.count.store(by_cause.len(), Relaxed);
        self.next.fetch_min(calm_at, Relaxed);
        self.last.fetch_max(calm_at, Relaxed);
        Some(alert)
    }

    /// Clears the alerts whose time has come, and those that are so far in the future that the clock was set back.
    pub(super) fn clear(&self, times: Times) -> Vec<Alert> {
        let future = self.calm.saturating_add(SKEW);
        let is_over = |calm_at: u64| calm_at <= times.now || times.is_set_back(calm_at, future);
        if self.count.load(Relaxed) == 0 || !(is_over(self.next.load(Relaxed)) || is_over(self.last.load(Relaxed))) {
            return Vec::new();
        }
        let mut alerts = self.write();
        let Alerts { by_cause, counts } = &mut *alerts;
        let cleared = by_cause.extract_if(|_, raised| is_over(raised.calm_at)).map(|(cause, raised)| {
            counts[cause.0.index()] -= 1;
            Alert { state: AlertState::Cleared, ..raised.alert }
        });
        let cleared = cleared.collect();
        self.count.store(by_cause.len(), Relaxed);
        let times = || by_cause.values().map(|raised| raised.calm_at);
        self.next.store(times().min().unwrap_or(u64::MAX), Relaxed);
        self.last.store(times().max().unwrap_or_default(), Relaxed);
        cleared
    }

    /// The time until the last of these alerts is cleared, if one is raised. One that is far in the future was raised before
    /// the clock was set back.
    pub(super) fn wait(&self, now: u64, causes: impl FnOnce() -> Vec<Cause>) -> Option<u64> {
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        let future = now.saturating_add(self.calm).saturating_add(SKEW);
        let alerts = self.read();
        let times = causes().into_iter().filter_map(|cause| alerts.by_cause.get(&cause)).map(|raised| raised.calm_at);
        times.filter(|calm_at| (now + 1..=future).contains(calm_at)).max().map(|calm_at| calm_at - now)
    }

    /// All alerts that are raised.
    pub(super) fn all(&self) -> Vec<Alert> {
        self.read().by_cause.values().map(|raised| raised.alert.clone()).collect()
    }

    /// The number of times that there was no room for an alert.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    fn read(&self) -> RwLockReadGuard<'_, Alerts> {
        self.alerts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Alerts> {
        self.alerts.write().unwrap_or_else(PoisonError::into_inner)
    }
}
