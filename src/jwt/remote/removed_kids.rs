//! The kids of keys that were removed from the set.
//!
//! No other unknown kid is recorded. It would save little, a search of the set and a comparison of times, and anyone who
//! guesses the `kid` of the next key could have that key refused when it is published.

use std::{collections::VecDeque, time::Duration};

use super::refresh_schedule::COOL_DOWN;
use crate::time::UnixTime;

const CAPACITY: usize = 100;
const MAX_WAIT: Duration = Duration::from_secs(5 * 60);

/// The kids of removed keys. Clients that keep sending tokens of these keys do not spend the budget for unknown kids. Because
/// the issuer may publish a key again, one of its tokens causes a fetch after the cool-down, and if the key is still absent,
/// after waits that double up to five minutes.
#[derive(Debug, Default)]
pub(super) struct RemovedKids(VecDeque<RemovedKid>);

#[derive(Debug)]
struct RemovedKid {
    kid: Box<str>,
    /// The last time at which the key was known to be absent.
    absent_at: UnixTime,
    /// The time after it in which no token of the key causes a fetch.
    wait: Duration,
}

impl RemovedKids {
    /// Adds the `kid` of a key that was removed now; the oldest entry is dropped if there are too many.
    pub(super) fn insert(&mut self, kid: &str, now: UnixTime) {
        self.0.retain(|removed| *removed.kid != *kid);
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(RemovedKid { kid: kid.into(), absent_at: now, wait: COOL_DOWN });
    }

    /// Returns whether a key with this `kid` was removed.
    pub(super) fn contains(&self, kid: &str) -> bool {
        self.find(kid).is_some()
    }

    /// Returns whether a key was removed, and is not to be fetched yet. An entry from the future, after the clock was set back,
    /// is ignored.
    pub(super) fn is_known_absent(&self, kid: &str, now: UnixTime) -> bool {
        self.find(kid).is_some_and(|removed| removed.absent_at <= now && now < removed.absent_at + removed.wait)
    }

    /// Records that a fetch ended, in which all of these keys were absent.
    pub(super) fn confirm(&mut self, now: UnixTime) {
        for removed in &mut self.0 {
            if now >= removed.absent_at + removed.wait {
                removed.wait = (removed.wait * 2).min(MAX_WAIT);
            }
            removed.absent_at = now;
        }
    }

    /// Removes the kids of keys that were published again.
    pub(super) fn retain(&mut self, is_absent: impl Fn(&str) -> bool) {
        self.0.retain(|removed| is_absent(&removed.kid));
    }

    fn find(&self, kid: &str) -> Option<&RemovedKid> {
        self.0.iter().find(|removed| *removed.kid == *kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_kids_are_bounded() {
        let (mut removed, now) = (RemovedKids::default(), UnixTime::from_secs(1_800_000_000));
        for number in 0..1_000 {
            removed.insert(&format!("kid-{number}"), now);
        }
        assert_eq!(removed.0.len(), CAPACITY);
        assert!(!removed.contains("kid-0") && removed.contains("kid-999"));
    }

    #[test]
    fn waits_double_up_to_five_minutes_and_begin_again_after_another_removal() {
        let (mut removed, mut now) = (RemovedKids::default(), UnixTime::from_secs(1_800_000_000));
        removed.insert("old", now);
        for wait in [30, 60, 120, 240, 300, 300] {
            assert!(removed.is_known_absent("old", now + Duration::from_secs(wait - 1)), "{wait}");
            now = now + Duration::from_secs(wait);
            assert!(!removed.is_known_absent("old", now), "{wait}");
            removed.confirm(now);
        }
        removed.confirm(now + Duration::from_secs(100));
        assert!(removed.is_known_absent("old", now + Duration::from_secs(399)), "a fetch for another key confirms it");
        removed.insert("old", now);
        assert!(!removed.is_known_absent("old", now + Duration::from_secs(30)));
    }
}
