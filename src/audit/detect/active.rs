//! The alerts that are raised.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use super::alert::{Alert, AlertState, Detection};

/// The most alerts that are raised at the same time. Of more, the one that is cleared first is cleared early.
const MAX: usize = 1_024;

/// The cause of an alert: the hash of a caller, key or peer, and that of the name of what is new.
pub(super) type Cause = (Detection, u64, u64);

#[derive(Debug)]
pub(super) struct Active {
    alerts: RwLock<HashMap<Cause, Raised>>,
    count: AtomicUsize,
    /// A time before which no alert is cleared.
    next: AtomicU64,
}

#[derive(Debug)]
struct Raised {
    alert: Alert,
    calm_at: u64,
}

impl Default for Active {
    fn default() -> Self {
        Self { alerts: RwLock::default(), count: AtomicUsize::new(0), next: AtomicU64::new(u64::MAX) }
    }
}

impl Active {
    /// Keeps an alert raised until `calm_at` at least, and returns whether it was raised before.
    pub(super) fn keep(&self, cause: &Cause, calm_at: u64, count: u64) -> bool {
        if self.count.load(Relaxed) == 0 {
            return false;
        }
        let mut alerts = self.write();
        let Some(raised) = alerts.get_mut(cause) else { return false };
        raised.calm_at = raised.calm_at.max(calm_at);
        raised.alert.count = raised.alert.count.max(count);
        true
    }

    /// Raises an alert, if it is not raised already. Returns it, and those that are cleared for want of room.
    pub(super) fn raise(&self, cause: Cause, calm_at: u64, alert: Alert) -> Vec<Alert> {
        let mut changed = Vec::new();
        let mut alerts = self.write();
        if alerts.len() >= MAX
            && let Some(first) = alerts.iter().min_by_key(|(_, raised)| raised.calm_at).map(|(cause, _)| *cause)
        {
            changed.extend(alerts.remove(&first).map(Raised::cleared));
        }
        if let Entry::Vacant(vacant) = alerts.entry(cause) {
            vacant.insert(Raised { alert: alert.clone(), calm_at });
            changed.push(alert);
        }
        self.count.store(alerts.len(), Relaxed);
        self.next.fetch_min(calm_at, Relaxed);
        changed
    }

    /// Clears the alerts whose time has come.
    pub(super) fn clear(&self, now: u64) -> Vec<Alert> {
        if now < self.next.load(Relaxed) {
            return Vec::new();
        }
        let mut alerts = self.write();
        let cleared =
            alerts.extract_if(|_, raised| raised.calm_at <= now).map(|(_, raised)| raised.cleared()).collect();
        self.count.store(alerts.len(), Relaxed);
        self.next.store(alerts.values().map(|raised| raised.calm_at).min().unwrap_or(u64::MAX), Relaxed);
        cleared
    }

    /// The time at which the last of these alerts is cleared, if one is raised.
    pub(super) fn calm_at(&self, causes: impl FnOnce() -> Vec<Cause>) -> Option<u64> {
        if self.count.load(Relaxed) == 0 {
            return None;
        }
        let alerts = self.alerts.read().unwrap_or_else(PoisonError::into_inner);
        causes().iter().filter_map(|cause| alerts.get(cause)).map(|raised| raised.calm_at).max()
    }

    /// All alerts that are raised.
    pub(super) fn all(&self) -> Vec<Alert> {
        let alerts = self.alerts.read().unwrap_or_else(PoisonError::into_inner);
        alerts.values().map(|raised| raised.alert.clone()).collect()
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Cause, Raised>> {
        self.alerts.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Raised {
    fn cleared(self) -> Alert {
        Alert { state: AlertState::Cleared, ..self.alert }
    }
}
