//! The kids of keys that were removed from the set.
//!
//! No other unknown kid is recorded. It would save little, a search of the set and a comparison of times, and anyone who
//! guesses the `kid` of the next key could have that key refused when it is published.

use std::{collections::VecDeque, time::Duration};

use crate::time::UnixTime;

const CAPACITY: usize = 100;
const TTL: Duration = Duration::from_secs(5 * 60);

/// The kids of removed keys. Clients that keep sending tokens of these keys do not spend the budget for unknown kids, except
/// once in five minutes, because the issuer may publish a key again.
#[derive(Debug, Default)]
pub(super) struct RemovedKids(VecDeque<(Box<str>, UnixTime)>);

impl RemovedKids {
    /// Adds the `kid` of a key that was removed now; the oldest entry is dropped if there are too many.
    pub(super) fn insert(&mut self, kid: &str, now: UnixTime) {
        self.0.retain(|(known, _)| **known != *kid);
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back((kid.into(), now));
    }

    /// Returns whether the key is known to be absent now. An entry from the future, after the clock was set back, is ignored.
    pub(super) fn contains(&self, kid: &str, now: UnixTime) -> bool {
        self.0.iter().any(|(known, since)| **known == *kid && *since <= now && now < *since + TTL)
    }

    /// Renews an entry after a fetch in which the key was still absent.
    pub(super) fn confirm(&mut self, kid: &str, now: UnixTime) {
        if let Some((_, since)) = self.0.iter_mut().find(|(known, _)| **known == *kid) {
            *since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_kids_are_bounded_and_expire_after_five_minutes() {
        let (mut removed, now) = (RemovedKids::default(), UnixTime::from_secs(1_800_000_000));
        for number in 0..1_000 {
            removed.insert(&format!("kid-{number}"), now);
        }
        assert_eq!(removed.0.len(), CAPACITY);
        assert!(!removed.contains("kid-0", now));
        assert!(removed.contains("kid-999", now + Duration::from_secs(299)));
        assert!(!removed.contains("kid-999", now + TTL));
        removed.confirm("kid-999", now + TTL);
        assert!(removed.contains("kid-999", now + TTL));
        removed.confirm("another", now);
        assert!(!removed.contains("another", now));
    }
}
