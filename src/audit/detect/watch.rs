//! The step from an event to the counts, and from the counts to alerts.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::Duration,
};

use super::{
    active::{Active, Cause},
    address::{network_text, prefix},
    alert::{Alert, AlertState, Detection},
    settings::{Settings, Threshold},
    slots::{Caller, Key, Peer},
    table::Table,
    used_names::UsedNames,
};
use crate::{
    audit::event::RequestEvent,
    caller::Identity,
    refusal::{Rejection, RejectionKind},
    scope::Scopes,
    time::Timestamp,
};

const DAY: f64 = 24.0 * 60.0 * 60.0 * 1_000.0;

/// The counts of all callers, keys and peers, and the alerts.
pub(super) struct Watch {
    pub(super) active: Active,
    callers: Table<Caller>,
    keys: Table<Key>,
    peers: Table<Peer>,
    secret: RandomState,
    pub(super) settings: Settings,
}

/// A request, and the alerts that it changes.
struct Scene<'a> {
    alerts: Vec<Alert>,
    /// The caller was authenticated: what others send in the name of a caller is not its usage.
    is_authenticated: bool,
    is_failure: bool,
    /// The hash of the API key or token.
    key: Option<u64>,
    now: u64,
    /// The owner of the credential, and the hash of its name.
    owner: Option<(&'a Identity, u64)>,
    peer: Option<IpAddr>,
    reason: Option<&'static str>,
    watch: &'a Watch,
}

/// A count that may be an alert.
struct Finding {
    baseline: Option<f64>,
    cause: Cause,
    count: u64,
    threshold: Threshold,
}

impl Watch {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            active: Active::default(),
            callers: Table::new(settings.capacity),
            keys: Table::new(settings.capacity),
            peers: Table::new(settings.capacity),
            secret: RandomState::new(),
            settings,
        }
    }

    /// Counts a request, and returns the alerts that are raised or cleared.
    pub(super) fn see(&self, time: Timestamp, request: &RequestEvent) -> Vec<Alert> {
        let now = time.as_millis();
        let failure = failure(request);
        let admitted = request.principal.as_ref().map(|principal| &**principal.identity());
        let owner = admitted.or_else(|| request.refused_identity()).map(|owner| (owner, self.caller(owner)));
        let mut scene = Scene {
            alerts: self.active.clear(now),
            is_authenticated: admitted.is_some(),
            is_failure: failure.is_some(),
            key: owner.and_then(|(owner, hash)| self.credential(owner, hash)),
            now,
            owner,
            peer: request.client_address.or(request.peer).map(|address| address.to_canonical()),
            reason: failure.map(|rejection| rejection.reason().as_str()),
            watch: self,
        };
        scene.see_caller(request);
        scene.see_key();
        scene.see_peer();
        scene.alerts
    }

    /// The time at which the caller is no longer under an alert of one of these detections.
    pub(super) fn calm_at(&self, caller: &Identity, detections: &[Detection]) -> Option<u64> {
        self.active.calm_at(|| {
            let subject = self.caller(caller);
            let key = self.credential(caller, subject);
            let causes = detections.iter().filter_map(|detection| match detection {
                Detection::FailuresOfKey | Detection::KeyInManyNetworks => Some((*detection, key?, 0)),
                _ => Some((*detection, subject, 0)),
            });
            causes.collect()
        })
    }

    fn caller(&self, identity: &Identity) -> u64 {
        self.secret.hash_one((0_u8, &identity.issuer, &identity.tenant, &identity.subject))
    }

    /// The API key or token, if it has an id, of the caller with this hash.
    fn credential(&self, identity: &Identity, caller: u64) -> Option<u64> {
        let id = identity.key_id.as_ref().or(identity.token_id.as_ref())?;
        Some(self.secret.hash_one((1_u8, caller, id)))
    }
}

impl Scene<'_> {
    fn see_caller(&mut self, request: &RequestEvent) {
        let Some((_, hash)) = self.owner else { return };
        let (watch, now) = (self.watch, self.now);
        let settings = &watch.settings;
        #[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
        let memory = settings.learning as f64;
        let refused_scopes = request.decision.refusal().and_then(Rejection::needed);
        let used = UsedNames::of(request, &watch.secret);
        let seen = watch.callers.with(hash, |caller| {
            let mut counts = [None; 3];
            if self.is_failure {
                counts[0] = settings.count(Detection::FailuresOfCaller, |window| caller.failures.add(now, window));
            }
            if refused_scopes.is_some() {
                counts[1] = settings.count(Detection::RefusedScopes, |window| caller.refused_scopes.add(now, window));
            }
            let is_known = caller.baseline.age(now) >= settings.learning;
            if self.is_authenticated {
                counts[2] = settings.count(Detection::UnusualRate, |window| caller.calls.add(now, window));
            }
            let mut rate = None;
            if let Some((count, threshold)) =
                counts[2].filter(|(count, threshold)| is_known && *count >= threshold.half())
            {
                rate = Some((count, threshold, caller.baseline.rate(now, memory)));
            }
            if self.is_authenticated {
                caller.baseline.add(now, memory);
            }
            caller.seen = (now, counts[..2].iter().flatten().map(|(count, _)| *count).max().unwrap_or(caller.seen.1));
            let new = used.filter(|name| caller.names.is_new(name) && is_known);
            (counts, rate, new)
        });
        let (counts, rate, new) = seen;
        let findings = [(Detection::FailuresOfCaller, counts[0]), (Detection::RefusedScopes, counts[1])];
        for (detection, counted) in findings {
            let Some((count, threshold)) = counted else { continue };
            let names = || if detection == Detection::RefusedScopes { texts(refused_scopes) } else { self.reasons() };
            let finding = Finding { baseline: None, cause: (detection, hash, 0), count, threshold };
            let changed = self.judge(&finding, names);
            self.alerts.extend(changed);
        }
        if let Some((count, threshold, rate)) = rate {
            let finding = self.rate(hash, count, threshold, rate);
            let changed = self.judge(&finding, Vec::new);
            self.alerts.extend(changed);
        }
        for (detection, name, text) in new.into_iter().flatten() {
            let Some(threshold) = settings.threshold(detection) else { continue };
            let finding = Finding { baseline: None, cause: (detection, hash, name), count: 1, threshold };
            let changed = self.judge(&finding, || vec![text.into()]);
            self.alerts.extend(changed);
        }
    }

    /// The rate of a caller against its baseline: calls per millisecond.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a conversion of a float saturates"
    )]
    fn rate(&self, caller: u64, count: u64, least: Threshold, baseline: f64) -> Finding {
        let unusual = (baseline * least.window as f64 * self.watch.settings.factor) as u64;
        Finding {
            baseline: Some(baseline * DAY),
            cause: (Detection::UnusualRate, caller, 0),
            count,
            threshold: Threshold { count: least.count.max(unusual), ..least },
        }
    }

    fn see_key(&mut self) {
        let Some(key) = self.key else { return };
        let (settings, now) = (&self.watch.settings, self.now);
        let network = self.peer.filter(|_| self.is_authenticated).map(|peer| prefix(peer, 24, 48));
        let (failures, networks, all) = self.watch.keys.with(key, |slot| {
            let failures = self
                .is_failure
                .then(|| settings.count(Detection::FailuresOfKey, |window| slot.failures.add(now, window)));
            let networks = settings.threshold(Detection::KeyInManyNetworks).zip(network).map(|(threshold, network)| {
                (slot.networks.see(network, now, threshold.window, threshold.places()), threshold)
            });
            let is_many = networks.is_some_and(|(count, threshold)| count >= threshold.count);
            let all = networks.filter(|_| is_many).map(|(_, threshold)| slot.networks.within(now, threshold.window));
            slot.seen = (now, failures.flatten().map_or(slot.seen.1, |(count, _)| count));
            (failures.flatten(), networks, all)
        });
        if let Some((count, threshold)) = failures {
            let finding = Finding { baseline: None, cause: (Detection::FailuresOfKey, key, 0), count, threshold };
            let changed = self.judge(&finding, || self.reasons());
            self.alerts.extend(changed);
        }
        if let Some((count, threshold)) = networks {
            let finding = Finding { baseline: None, cause: (Detection::KeyInManyNetworks, key, 0), count, threshold };
            let names = || all.unwrap_or_default().into_iter().map(network_text).collect();
            let changed = self.judge(&finding, names);
            self.alerts.extend(changed);
        }
    }

    fn see_peer(&mut self) {
        let Some(peer) = self.peer else { return };
        let (settings, now, key) = (&self.watch.settings, self.now, self.key);
        if key.is_none() && !self.is_failure {
            return;
        }
        let hash = self.watch.secret.hash_one((2_u8, prefix(peer, 32, 64)));
        let (failures, keys) = self.watch.peers.with(hash, |slot| {
            let failures = self
                .is_failure
                .then(|| settings.count(Detection::FailuresOfPeer, |window| slot.failures.add(now, window)));
            let keys = settings.threshold(Detection::ManyKeysFromPeer).zip(key).map(|(threshold, key)| {
                (slot.keys.see(key.into(), now, threshold.window, threshold.places()), threshold)
            });
            slot.seen = (now, failures.flatten().map_or(slot.seen.1, |(count, _)| count));
            (failures.flatten(), keys)
        });
        let findings = [(Detection::FailuresOfPeer, failures), (Detection::ManyKeysFromPeer, keys)];
        for (detection, counted) in findings {
            let Some((count, threshold)) = counted else { continue };
            let finding = Finding { baseline: None, cause: (detection, hash, 0), count, threshold };
            let names = || if detection == Detection::FailuresOfPeer { self.reasons() } else { Vec::new() };
            let changed = self.judge(&finding, names);
            self.alerts.extend(changed);
        }
    }

    /// Keeps an alert raised from half of its threshold on, and raises it at the threshold.
    fn judge(&self, finding: &Finding, names: impl FnOnce() -> Vec<Box<str>>) -> Vec<Alert> {
        let Finding { cause, count, threshold, .. } = *finding;
        let active = &self.watch.active;
        let calm_at = self.now.saturating_add(self.watch.settings.calm);
        if count < threshold.half() || active.keep(&cause, calm_at, count) || count < threshold.count {
            return Vec::new();
        }
        active.raise(cause, calm_at, self.alert(finding, names()))
    }

    fn alert(&self, finding: &Finding, names: Vec<Box<str>>) -> Alert {
        let Finding { baseline, cause: (detection, who, what), count, threshold } = finding;
        let is_of_peer = matches!(detection, Detection::FailuresOfPeer | Detection::ManyKeysFromPeer);
        let owner = self.owner.filter(|_| !is_of_peer).map(|(owner, _)| owner);
        let id = u128::from(who ^ what.rotate_left(7) ^ (detection.index() as u64)) << 64 | u128::from(self.now);
        Alert {
            baseline: *baseline,
            count: *count,
            detection: *detection,
            id: format!("{id:032x}").into(),
            issuer: owner.and_then(|owner| owner.issuer.clone()),
            key_id: owner.and_then(|owner| owner.key_id.clone()),
            names,
            peer: self.peer,
            since: Timestamp::from_millis(self.now),
            state: AlertState::Raised,
            subject: owner.map(|owner| owner.subject.clone()),
            tenant: owner.and_then(|owner| owner.tenant.clone()),
            threshold: threshold.count,
            token_id: owner.and_then(|owner| owner.token_id.clone()),
            window: Duration::from_millis(threshold.window),
        }
    }

    /// The reason of the last failure.
    fn reasons(&self) -> Vec<Box<str>> {
        self.reason.into_iter().map(Into::into).collect()
    }
}

impl Settings {
    /// Counts an event, if it is part of what is detected.
    fn count(&self, detection: Detection, add: impl FnOnce(u64) -> u64) -> Option<(u64, Threshold)> {
        self.threshold(detection).map(|threshold| (add(threshold.window), threshold))
    }
}

impl Threshold {
    const fn half(self) -> u64 {
        self.count.div_ceil(2)
    }

    /// The number of different values that are distinguished.
    fn places(self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }
}

/// The refusal of a credential that was presented; that behind a limit on failures, if that has replaced it.
fn failure(request: &RequestEvent) -> Option<&Rejection> {
    let rejection = request.decision.refusal()?;
    let rejection = rejection.cause().filter(|_| rejection.kind() == RejectionKind::Throttled).unwrap_or(rejection);
    let is_failure =
        matches!(rejection.kind(), RejectionKind::Invalid | RejectionKind::InvalidProof | RejectionKind::Malformed);
    is_failure.then_some(rejection)
}

fn texts(scopes: Option<&Scopes>) -> Vec<Box<str>> {
    scopes.into_iter().flat_map(Scopes::iter).map(|scope| scope.as_str().into()).collect()
}
