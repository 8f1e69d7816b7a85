use tower_warden::{ConfigError, UnixTime};

use super::{key::SigningKey, keys::SigningKeys};

/// The keys of an issuer, ordered by the times from which they sign; never empty.
#[derive(Clone)]
pub(super) struct Ring(pub(super) Vec<Entry>);

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: SigningKey,
    /// `None` until the first token is signed.
    pub(super) signs_from: Option<UnixTime>,
}

impl Ring {
    pub(super) fn new(key: SigningKey, signs_from: Option<UnixTime>) -> Self {
        Self(vec![Entry { key, signs_from }])
    }

    /// The last key whose time has come, or else the first: if the clock was set back, or a key was withdrawn.
    pub(super) fn current(&self, now: UnixTime) -> usize {
        let signs = |entry: &Entry| entry.signs_from.is_none_or(|from| from <= now);
        self.0.iter().rposition(signs).unwrap_or_default()
    }

    /// Records that the current key signs, even if its time has not come: another key was withdrawn, or the clock was set
    /// back. Removes the keys whose tokens have all expired, and returns them.
    pub(super) fn advance(&mut self, now: UnixTime) -> Vec<Entry> {
        let current = self.current(now);
        let entry = &mut self.0[current];
        entry.signs_from = Some(entry.signs_from.map_or(now, |from| from.min(now)));
        let has_replaced = |entry: &Entry| entry.signs_from.is_some_and(|from| from + SigningKeys::RETENTION <= now);
        match self.0.iter().rposition(has_replaced) {
            Some(oldest) if oldest > 0 => self.0.drain(..oldest).collect(),
            _ => Vec::new(),
        }
    }

    /// The time from which the next key of a schedule is to sign, if it is to be published now.
    pub(super) fn next(&self, period: std::time::Duration, now: UnixTime) -> Option<UnixTime> {
        let current = self.current(now);
        let signs_from = self.0[current].signs_from.unwrap_or(now);
        let is_last = current + 1 == self.0.len();
        let is_due = is_last && signs_from + period <= now + SigningKeys::LEAD;
        is_due.then(|| (now + SigningKeys::LEAD).max(signs_from + period))
    }

    /// Adds a key, and returns the time from which it signs.
    pub(super) fn publish(&mut self, key: SigningKey, now: UnixTime) -> UnixTime {
        if self.0[self.current(now)].key.kid() == key.kid() {
            // It signs already. A second entry would retire it with the first.
            return now;
        }
        let signs_from = now + SigningKeys::LEAD;
        // A key that was to sign first never signs; an older entry of this key would retire it.
        self.0.retain(|entry| entry.key.kid() != key.kid() && entry.signs_from.is_none_or(|from| from <= now));
        self.0.push(Entry { key, signs_from: Some(signs_from) });
        signs_from
    }

    /// Removes a key.
    pub(super) fn withdraw(&mut self, kid: &str) -> Result<(), ConfigError> {
        if !self.0.iter().any(|entry| entry.key.kid() == kid) || self.0.len() < 2 {
            return Err(ConfigError::custom("a key that is withdrawn is one of several").value(kid));
        }
        self.0.retain(|entry| entry.key.kid() != kid);
        Ok(())
    }

    /// Takes over the keys of another ring, and retires those that it does not have. A key that both have stays the same
    /// value: caches of verified tokens refer to it.
    pub(super) fn replace(&mut self, mut new: Self) {
        for entry in &mut new.0 {
            if let Some(own) = self.0.iter().find(|own| own.key.kid() == entry.key.kid()) {
                entry.key = own.key.clone();
            }
        }
        let is_gone = |own: &&Entry| new.0.iter().all(|entry| entry.key.kid() != own.key.kid());
        self.0.iter().filter(is_gone).for_each(|own| own.key.verifying_key().retire());
        *self = new;
    }
}
