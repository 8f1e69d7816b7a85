//! The counts of a caller, a key and a peer.

use super::{
    alert::Detection,
    baseline::Baseline,
    distinct::{Distinct, Names},
    settings::{Counted, Settings},
    table::Slot,
    times::Times,
    window::Window,
};

/// The counts of a subject.
#[derive(Debug, Default)]
pub(super) struct Caller {
    baseline: Baseline,
    calls: Window,
    failures: Window,
    refused_scopes: Window,
    scopes: Names,
    /// The time at which it was seen last.
    seen: u64,
    tools: Names,
}

/// A request, as the counts of a caller see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) is_admitted: bool,
    pub(super) is_authenticated: bool,
    pub(super) is_failure: bool,
    pub(super) lacks_scope: bool,
    pub(super) times: Times,
}

/// The counts of a caller that a request has changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallerCounts {
    pub(super) failures: Option<Counted>,
    /// The learning period is over.
    pub(super) is_known: bool,
    /// The number of calls, and those that are normal in a millisecond.
    pub(super) rate: Option<(Counted, f64)>,
    pub(super) refused_scopes: Option<Counted>,
}

/// The counts of an API key or token.
#[derive(Debug, Default)]
pub(super) struct Key {
    pub(super) failures: Window,
    pub(super) networks: Distinct,
    pub(super) seen: u64,
}

/// The counts of an address.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) failures: Window,
    pub(super) keys: Distinct,
    pub(super) seen: u64,
}

impl Caller {
    /// Counts a request.
    pub(super) fn count(&mut self, call: Call, settings: &Settings) -> CallerCounts {
        let Call { is_admitted, is_authenticated, is_failure, lacks_scope, times } = call;
        #[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
        let memory = settings.learning as f64;
        self.seen = times.now;
        self.baseline.correct(times);
        let is_known = self.baseline.age(times.now) >= settings.learning;
        let count = |is_counted: bool, detection, window: &mut Window| {
            is_counted.then(|| settings.count(detection, |length| window.add(times, length))).flatten()
        };
        let failures = count(is_failure, Detection::FailuresOfCaller, &mut self.failures);
        let refused_scopes = count(lacks_scope, Detection::RefusedScopes, &mut self.refused_scopes);
        let calls = count(is_authenticated, Detection::UnusualRate, &mut self.calls);
        let calls = calls.filter(|(count, threshold)| is_known && *count >= threshold.half());
        let rate = calls.map(|calls| (calls, self.baseline.rate(times.now, memory)));
        // What is refused is not normal: a flood would become so while a guard refuses it.
        if is_authenticated && is_admitted {
            self.baseline.add(times.now, memory);
        }
        CallerCounts { failures, is_known, rate, refused_scopes }
    }

    /// The names of this kind that it has used.
    pub(super) const fn names(&mut self, detection: Detection) -> &mut Names {
        match detection {
            Detection::FirstUseOfTool => &mut self.tools,
            _ => &mut self.scopes,
        }
    }
}

impl Slot for Caller {
    fn worth(&self, now: u64, settings: &Settings) -> (u64, u64) {
        let failures = self.failures.count(now, settings.window(Detection::FailuresOfCaller));
        (failures.max(self.refused_scopes.count(now, settings.window(Detection::RefusedScopes))), self.seen)
    }
}

impl Slot for Key {
    fn worth(&self, now: u64, settings: &Settings) -> (u64, u64) {
        let failures = self.failures.count(now, settings.window(Detection::FailuresOfKey));
        (failures.max(self.networks.count(now, settings.window(Detection::KeyInManyNetworks))), self.seen)
    }
}

impl Slot for Peer {
    fn worth(&self, now: u64, settings: &Settings) -> (u64, u64) {
        let failures = self.failures.count(now, settings.window(Detection::FailuresOfPeer));
        (failures.max(self.keys.count(now, settings.window(Detection::ManyKeysFromPeer))), self.seen)
    }
}
