//! The unknown kids that tokens have named since the last fetch.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use crate::time::UnixTime;

/// The maximum number of kids that are recorded: about 1.5 MiB while a flood lasts.
const CAPACITY: usize = 64 * 1024;

/// The times at which unknown kids were first seen, by hashes with a random secret.
///
/// A key that an issuer has begun to use is named by many tokens, and by more of them a second later. Kids that are made up are
/// usually named once. So a `kid` that is seen again in a later second may use the part of the budget for fetches that is
/// reserved for it, and a flood of made-up kids cannot use that part up. Anyone who repeats a made-up `kid` can; then a new
/// key is found at the end of the cool-down.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    first_seen: HashMap<u64, UnixTime>,
    hasher: RandomState,
}

impl Sightings {
    /// Records a `kid`, and returns whether it was seen in an earlier second.
    pub(super) fn is_repeated(&mut self, kid: &str, now: UnixTime) -> bool {
        let hash = self.hasher.hash_one(kid);
        if let Some(first) = self.first_seen.get(&hash) {
            return *first < now;
        }
        if self.first_seen.len() == CAPACITY {
            self.first_seen.clear();
        }
        self.first_seen.insert(hash, now);
        false
    }

    /// Forgets all kids after a fetch: they are absent.
    pub(super) fn clear(&mut self) {
        self.first_seen = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_kid_is_repeated_in_a_later_second_whatever_else_is_seen() {
        let (mut sightings, now) = (Sightings::default(), UnixTime::from_secs(1_800_000_000));
        assert!(!sightings.is_repeated("new", now));
        for number in 0..CAPACITY - 1 {
            assert!(!sightings.is_repeated(&format!("kid-{number}"), now));
        }
        assert!(!sightings.is_repeated("new", now), "the same second");
        assert!(sightings.is_repeated("new", now + Duration::from_secs(1)));
        assert!(!sightings.is_repeated("one more", now));
        assert_eq!(sightings.first_seen.len(), 1, "bounded");
        sightings.clear();
        assert!(!sightings.is_repeated("one more", now + Duration::from_secs(1)));
    }
}
