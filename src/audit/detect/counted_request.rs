//! The step from an event to the counts, and from the counts to alerts.

use std::{net::IpAddr, time::Duration};

use super::{
    active::Cause,
    address::{network_text, prefix},
    alert::{Alert, AlertState, Detection},
    settings::{Counted, Threshold},
    slots::Call,
    times::Times,
    used_names::UsedNames,
    watch::Watch,
};
use crate::{
    audit::event::RequestEvent,
    caller::{Identity, Principal},
    refusal::{Rejection, RejectionKind},
    scope::Scopes,
    time::Timestamp,
};

const DAY: f64 = 24.0 * 60.0 * 60.0 * 1_000.0;

/// A request, and the alerts that it changes.
pub(super) struct CountedRequest<'a> {
    alerts: Vec<Alert>,
    /// The reason, if the credential was refused.
    failure: Option<&'static str>,
    /// The caller was authenticated: what others send in the name of a caller is not its usage.
    is_authenticated: bool,
    /// The address of the client. It is not that of a peer that has forwarded none: that is a proxy.
    peer: Option<IpAddr>,
    request: &'a RequestEvent,
    times: Times,
    watch: &'a Watch,
}

/// The owner of a credential, with the hashes of its name and of the API key or token.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) caller: u64,
    pub(super) identity: &'a Identity,
    pub(super) key: Option<u64>,
}

/// The credential of a request.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    /// The one that was refused, or the only one, or that of an agent.
    Caller,
    /// That of the subject that an agent acts for.
    Subject,
}

/// A count that may be an alert.
struct Finding<'a> {
    baseline: Option<f64>,
    cause: Cause,
    counted: Counted,
    /// `None` if it is about a peer.
    owner: Option<&'a Identity>,
}

impl<'a> CountedRequest<'a> {
    pub(super) fn new(watch: &'a Watch, times: Times, request: &'a RequestEvent) -> Self {
        Self {
            alerts: Vec::new(),
            failure: failure(request).map(|rejection| rejection.reason().as_str()),
            is_authenticated: request.principal.is_some(),
            peer: request.client_address.map(|address| address.to_canonical()),
            request,
            times,
            watch,
        }
    }

    /// Counts the request, and adds the alerts that are raised to those that were cleared.
    pub(super) fn see(mut self, cleared: Vec<Alert>) -> Vec<Alert> {
        self.alerts = cleared;
        let principal = self.request.principal.as_ref();
        let caller = principal.map(|principal| &**principal.identity()).or_else(|| self.request.refused_identity());
        let caller = caller.map(|identity| self.watch.owner(identity));
        if let Some(caller) = caller {
            self.see_caller(caller, Role::Caller);
            self.see_key(caller, Role::Caller);
        }
        if let Some(subject) = principal.and_then(Principal::acting_for) {
            let subject = self.watch.owner(subject.identity());
            self.see_caller(subject, Role::Subject);
            self.see_key(subject, Role::Subject);
        }
        self.see_peer(caller.and_then(|caller| caller.key));
        self.alerts
    }

    fn see_caller(&mut self, owner: Owner<'a>, role: Role) {
        let Self { request, times, watch, .. } = *self;
        // Another credential would not help the subject if that of the agent lacks a scope.
        let refused_scopes = request.decision.refusal().and_then(Rejection::needed).filter(|_| role == Role::Caller);
        let call = Call {
            is_admitted: request.is_admitted(),
            is_authenticated: self.is_authenticated,
            is_failure: self.is_failure(role),
            lacks_scope: refused_scopes.is_some(),
            times,
        };
        let used = UsedNames::of(request, &watch.secret);
        let (counts, new) = watch.callers.with(owner.caller, times.now, &watch.settings, |caller| {
            let counts = caller.count(call, &watch.settings);
            let new = used.filter(|detection, name| caller.names(detection).is_new(name) && counts.is_known);
            (counts, new)
        });
        let cause = |detection| (detection, owner.caller, 0);
        let reason = self.failure;
        self.judge_count(cause(Detection::FailuresOfCaller), counts.failures, Some(owner), || reasons(reason));
        self.judge_count(cause(Detection::RefusedScopes), counts.refused_scopes, Some(owner), || texts(refused_scopes));
        if let Some((counted, baseline)) = counts.rate {
            self.judge(&self.rate(owner, counted, baseline), Vec::new);
        }
        for (detection, name, text) in new.into_iter().flatten() {
            let threshold = watch.settings.threshold(detection).map(|threshold| (1, threshold));
            self.judge_count((detection, owner.caller, name), threshold, Some(owner), || vec![text.into()]);
        }
    }

    /// The rate of a caller against its baseline: calls per millisecond.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a conversion of a float saturates"
    )]
    fn rate(&self, owner: Owner<'a>, (count, least): Counted, baseline: f64) -> Finding<'a> {
        let unusual = (baseline * least.window as f64 * self.watch.settings.factor) as u64;
        Finding {
            baseline: Some(baseline * DAY),
            cause: (Detection::UnusualRate, owner.caller, 0),
            counted: (count, Threshold { count: least.count.max(unusual), ..least }),
            owner: Some(owner.identity),
        }
    }

    fn see_key(&mut self, owner: Owner<'a>, role: Role) {
        let Some(key) = owner.key else { return };
        let Self { times, watch, .. } = *self;
        let settings = &watch.settings;
        let is_failure = self.is_failure(role);
        let network = self.peer.filter(|_| self.is_authenticated).map(|peer| prefix(peer, 24, 48));
        let (failures, networks, names) = watch.keys.with(key, times.now, settings, |slot| {
            slot.seen = times.now;
            let failures = is_failure
                .then(|| settings.count(Detection::FailuresOfKey, |window| slot.failures.add(times, window)))
                .flatten();
            let threshold = settings.threshold(Detection::KeyInManyNetworks);
            let networks = threshold.zip(network).and_then(|(threshold, network)| {
                Some((slot.networks.see(network, times, threshold.window, threshold.places())?, threshold))
            });
            let many = networks.filter(|(count, threshold)| *count >= threshold.count);
            (failures, networks, many.map(|(_, threshold)| slot.networks.within(threshold.window)))
        });
        let reason = self.failure;
        self.judge_count((Detection::FailuresOfKey, key, 0), failures, Some(owner), || reasons(reason));
        let names = || names.unwrap_or_default().into_iter().map(network_text).collect();
        self.judge_count((Detection::KeyInManyNetworks, key, 0), networks, Some(owner), names);
    }

    fn see_peer(&mut self, key: Option<u64>) {
        let Some(peer) = self.peer else { return };
        let Self { times, watch, .. } = *self;
        let (settings, is_failure) = (&watch.settings, self.is_failure(Role::Caller));
        if key.is_none() && !is_failure {
            return;
        }
        let hash = watch.peer(peer);
        let (failures, keys) = watch.peers.with(hash, times.now, settings, |slot| {
            slot.seen = times.now;
            let failures = is_failure
                .then(|| settings.count(Detection::FailuresOfPeer, |window| slot.failures.add(times, window)))
                .flatten();
            let keys = settings.threshold(Detection::ManyKeysFromPeer).zip(key).and_then(|(threshold, key)| {
                Some((slot.keys.see(key.into(), times, threshold.window, threshold.places())?, threshold))
            });
            (failures, keys)
        });
        let reason = self.failure;
        self.judge_count((Detection::FailuresOfPeer, hash, 0), failures, None, || reasons(reason));
        self.judge_count((Detection::ManyKeysFromPeer, hash, 0), keys, None, Vec::new);
    }

    fn judge_count(
        &mut self,
        cause: Cause,
        counted: Option<Counted>,
        owner: Option<Owner<'a>>,
        names: impl FnOnce() -> Vec<Box<str>>,
    ) {
        if let Some(counted) = counted {
            let owner = owner.map(|owner| owner.identity);
            self.judge(&Finding { baseline: None, cause, counted, owner }, names);
        }
    }

    /// Keeps an alert raised from half of its threshold on, and raises it at the threshold.
    fn judge(&mut self, finding: &Finding<'_>, names: impl FnOnce() -> Vec<Box<str>>) {
        let Finding { cause, counted: (count, threshold), .. } = *finding;
        let active = &self.watch.active;
        let calm_at = active.calm_after(self.times.at);
        // A long response has ended, and what was counted when it began is over.
        let is_over = calm_at <= self.times.now;
        if is_over || count < threshold.half() || active.keep(&cause, calm_at, count) || count < threshold.count {
            return;
        }
        self.alerts.extend(active.raise(cause, calm_at, || self.alert(finding, names())));
    }

    fn alert(&self, finding: &Finding<'_>, names: Vec<Box<str>>) -> Alert {
        let Finding { baseline, cause: (detection, who, what), counted: (count, threshold), owner } = finding;
        let (at, owner) = (self.times.at, *owner);
        let id = u128::from(who ^ what.rotate_left(7) ^ (detection.index() as u64)) << 64 | u128::from(at);
        Alert {
            baseline: *baseline,
            count: *count,
            detection: *detection,
            id: format!("{id:032x}").into(),
            issuer: owner.and_then(|owner| owner.issuer.clone()),
            key_id: owner.and_then(|owner| owner.key_id.clone()),
            names,
            peer: self.peer,
            since: Timestamp::from_millis(at),
            state: AlertState::Raised,
            subject: owner.map(|owner| owner.subject.clone()),
            tenant: owner.and_then(|owner| owner.tenant.clone()),
            threshold: threshold.count,
            token_id: owner.and_then(|owner| owner.token_id.clone()),
            window: Duration::from_millis(threshold.window),
        }
    }

    /// Returns whether the credential of this role was refused.
    fn is_failure(&self, role: Role) -> bool {
        self.failure.is_some() && role == Role::Caller
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

/// The reason of the last failure.
fn reasons(reason: Option<&'static str>) -> Vec<Box<str>> {
    reason.into_iter().map(Into::into).collect()
}

fn texts(scopes: Option<&Scopes>) -> Vec<Box<str>> {
    scopes.into_iter().flat_map(Scopes::iter).map(|scope| scope.as_str().into()).collect()
}
