//! The counts of a caller, a key and a peer.

use super::{
    baseline::Baseline,
    distinct::{Distinct, Names},
    table::Slot,
    window::Window,
};

/// The counts of a subject.
#[derive(Debug, Default)]
pub(super) struct Caller {
    pub(super) baseline: Baseline,
    pub(super) calls: Window,
    pub(super) failures: Window,
    pub(super) names: Names,
    pub(super) refused_scopes: Window,
    /// The time at which it was seen last, and its number of failures or refusals then.
    pub(super) seen: (u64, u64),
}

/// The counts of an API key or token.
#[derive(Debug, Default)]
pub(super) struct Key {
    pub(super) failures: Window,
    pub(super) networks: Distinct,
    pub(super) seen: (u64, u64),
}

/// The counts of an address.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) failures: Window,
    pub(super) keys: Distinct,
    pub(super) seen: (u64, u64),
}

impl Slot for Caller {
    fn clear(&mut self) {
        self.names.clear();
        *self = Self { names: std::mem::take(&mut self.names), ..Self::default() };
    }

    fn worth(&self) -> (u64, u64) {
        (self.seen.1, self.seen.0)
    }
}

impl Slot for Key {
    fn clear(&mut self) {
        self.networks.clear();
        *self = Self { networks: std::mem::take(&mut self.networks), ..Self::default() };
    }

    fn worth(&self) -> (u64, u64) {
        (self.seen.1.max(self.networks.len() as u64), self.seen.0)
    }
}

impl Slot for Peer {
    fn clear(&mut self) {
        self.keys.clear();
        *self = Self { keys: std::mem::take(&mut self.keys), ..Self::default() };
    }

    fn worth(&self) -> (u64, u64) {
        (self.seen.1.max(self.keys.len() as u64), self.seen.0)
    }
}
