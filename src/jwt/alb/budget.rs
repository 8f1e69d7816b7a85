//! The rate of fetches that made-up `kid`s can cause, and that of the keys which have signed tokens.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{digest::Digest, time::UnixTime};

/// Permits a burst of fetches, and then one in each interval; and one fetch in a minute of each key that has signed a
/// token.
#[derive(Default)]
pub(super) struct Budget {
    /// The second in which the whole burst is available again.
    restored_at: Mutex<u64>,
    /// The keys that have signed a token: nobody else can put one here.
    signed: Mutex<HashMap<Digest, Fetches>>,
}

/// The fetches of a key.
struct Fetches {
    /// The time of the last one that has found the key.
    found_at: UnixTime,
    tried_at: UnixTime,
}

/// The number of fetches that are permitted at once.
const BURST: u64 = 10;

/// The seconds in which one fetch is restored.
const INTERVAL: u64 = 6;

/// The seconds between two fetches of a key that has signed a token.
const INTERVAL_OF_SIGNED: u64 = 60;

/// The age in seconds from which on a key is fetched again when it is used.
const RENEWAL: u64 = 24 * 60 * 60;

/// The number of keys that have fetches of their own: that of the cache.
pub(super) const MAX_SIGNED: usize = 100;

impl Budget {
    /// Takes one fetch; `false` if none is left.
    pub(super) fn take(&self, kid: &Digest, now: UnixTime) -> bool {
        self.take_signed(kid, now, |_| true) || self.take_any(now)
    }

    /// Takes one fetch of a key that has signed a token and is old; `false` if it is not, or if none is left.
    pub(super) fn take_renewal(&self, kid: &Digest, now: UnixTime) -> bool {
        self.take_signed(kid, now, |fetches| is_past(fetches.found_at, now, RENEWAL))
    }

    /// Returns whether a key has signed a token.
    pub(super) fn has_signed(&self, kid: &Digest) -> bool {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner).contains_key(kid)
    }

    /// Notes that a key has signed a token.
    pub(super) fn note_signed(&self, kid: Digest, now: UnixTime) {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if signed.len() >= MAX_SIGNED && !signed.contains_key(&kid) {
            let oldest = signed.iter().min_by_key(|(_, fetches)| fetches.tried_at).map(|(kid, _)| *kid);
            oldest.and_then(|kid| signed.remove(&kid));
        }
        signed.insert(kid, Fetches { found_at: now, tried_at: now });
    }

    /// Notes that a fetch has found a key.
    pub(super) fn note_found(&self, kid: &Digest, now: UnixTime) {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        signed.get_mut(kid).into_iter().for_each(|fetches| fetches.found_at = now);
    }

    fn take_signed(&self, kid: &Digest, now: UnixTime, is_due: impl FnOnce(&Fetches) -> bool) -> bool {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(fetches) = signed.get_mut(kid) else { return false };
        let is_taken = is_past(fetches.tried_at, now, INTERVAL_OF_SIGNED) && is_due(fetches);
        if is_taken {
            fetches.tried_at = now;
        }
        is_taken
    }

    fn take_any(&self, now: UnixTime) -> bool {
        let now = now.as_secs().min(u64::MAX / 2);
        let mut restored_at = self.restored_at.lock().unwrap_or_else(PoisonError::into_inner);
        // If the clock was set back, the burst is used up at most.
        let latest = now + BURST * INTERVAL;
        *restored_at = (*restored_at).clamp(now, latest);
        let is_left = *restored_at + INTERVAL <= latest;
        if is_left {
            *restored_at += INTERVAL;
        }
        is_left
    }
}

/// Returns whether a time is this far from another one, also if the clock was set back.
fn is_past(last: UnixTime, now: UnixTime, seconds: u64) -> bool {
    now.as_secs().abs_diff(last.as_secs()) >= seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_restored_one_by_one_also_after_the_clock_was_set_back() {
        let (budget, kid) = (Budget::default(), Digest::of(b"kid"));
        let taken = |second: u64| (0..20).filter(|_| budget.take(&kid, UnixTime::from_secs(second))).count();
        assert_eq!([taken(1_000), taken(1_005), taken(1_006), taken(1_018)], [10, 0, 1, 2]);
        assert_eq!([taken(10), taken(16)], [0, 1]);
        assert_eq!(taken(1_000_000), 10);
    }

    #[test]
    fn key_that_has_signed_a_token_has_fetches_of_its_own() {
        let (budget, kid, other) = (Budget::default(), Digest::of(b"kid"), Digest::of(b"other"));
        let at = UnixTime::from_secs;
        budget.note_signed(kid, at(1_000));
        let takes = |kid: &Digest, second: u64| budget.take_signed(kid, at(second), |_| true);
        assert_eq!([1_000, 1_059, 1_060, 1_061].map(|second| takes(&kid, second)), [false, false, true, false]);
        assert!(takes(&kid, 10), "the clock was set back");
        assert!(!takes(&other, 2_000));
        (0..2 * MAX_SIGNED).for_each(|number| budget.note_signed(Digest::of(&number.to_le_bytes()), at(3_000)));
        assert!(!takes(&kid, 4_000), "the oldest one is dropped");
    }

    #[test]
    fn renewal_is_due_after_a_day_and_then_once_a_minute_until_it_succeeds() {
        let (budget, kid) = (Budget::default(), Digest::of(b"kid"));
        let at = |second: u64| UnixTime::from_secs(1_000 + second);
        budget.note_signed(kid, at(0));
        let takes = |second: u64| budget.take_renewal(&kid, at(second));
        assert_eq!([86_399, 86_400, 86_459, 86_460].map(takes), [false, true, false, true]);
        budget.note_found(&kid, at(86_460));
        assert_eq!([86_520, 172_859, 172_860].map(takes), [false, false, true]);
    }
}
