use std::{
    hash::{BuildHasher, RandomState},
    iter,
    net::IpAddr,
};

use super::{
    active::{Active, Cause},
    address::prefix,
    alert::{Alert, Detection},
    counted_request::{CountedRequest, Owner},
    settings::Settings,
    slots::{Caller, Key, Peer},
    table::Table,
    times::Times,
};
use crate::{
    audit::event::RequestEvent,
    caller::{Identity, Principal},
    time::Timestamp,
};

/// The counts of all callers, keys and peers, and the alerts.
pub(super) struct Watch {
    pub(super) active: Active,
    pub(super) callers: Table<Caller>,
    pub(super) keys: Table<Key>,
    pub(super) peers: Table<Peer>,
    pub(super) secret: RandomState,
    pub(super) settings: Settings,
}

impl Watch {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            active: Active::new(settings.calm),
            callers: Table::new(settings.capacity),
            keys: Table::new(settings.capacity),
            peers: Table::new(settings.capacity),
            secret: RandomState::new(),
            settings,
        }
    }

    /// Counts a request, and returns the alerts that are raised or cleared.
    pub(super) fn see(&self, time: Timestamp, request: &RequestEvent) -> Vec<Alert> {
        let at = time.as_millis();
        let duration = u64::try_from(request.duration.as_millis()).unwrap_or(u64::MAX);
        let times = Times { at, now: at.saturating_add(duration) };
        CountedRequest::new(self, times, request).see(self.active.clear(times))
    }

    /// The time in milliseconds until no caller, and no subject that one acts for, is under an alert of these detections.
    pub(super) fn wait(&self, principal: &Principal, detections: &[Detection], now: u64) -> Option<u64> {
        self.active.wait(now, || {
            let mut causes = Vec::new();
            for identity in iter::once(principal).chain(principal.acting_for()).map(Principal::identity) {
                let owner = self.owner(identity);
                causes.extend(detections.iter().filter_map(|detection| owner.cause(*detection)));
            }
            causes
        })
    }

    /// The hashes of a caller, and of its API key or token, if that has an id.
    pub(super) fn owner<'a>(&self, identity: &'a Identity) -> Owner<'a> {
        let caller = self.secret.hash_one((0_u8, &identity.issuer, &identity.tenant, &identity.subject));
        let id = identity.key_id.as_ref().or(identity.token_id.as_ref());
        Owner { caller, identity, key: id.map(|id| self.secret.hash_one((1_u8, caller, id))) }
    }

    /// The hash of an address.
    pub(super) fn peer(&self, address: IpAddr) -> u64 {
        self.secret.hash_one((2_u8, prefix(address, 32, 64)))
    }
}

impl Owner<'_> {
    /// The cause of an alert about a caller or its key; `None` for a key without an id.
    pub(super) fn cause(&self, detection: Detection) -> Option<Cause> {
        match detection {
            Detection::FailuresOfKey | Detection::KeyInManyNetworks => Some((detection, self.key?, 0)),
            _ => Some((detection, self.caller, 0)),
        }
    }
}
