//! Keys that have left the set, by name.
//!
//! Of other unknown kids nothing is remembered. That one costs a look at the set and at the time, and if it were, whoever
//! guesses the name of the next key could have it refused when it comes.

use std::{collections::VecDeque, time::Duration};

use crate::time::UnixTime;

const MOST: usize = 100;
const REST: Duration = Duration::from_secs(5 * 60);

/// Kids of keys that have left the set. Clients who keep sending tokens of theirs do not spend what is there for new keys,
/// but once in five minutes, for the issuer may take one back.
#[derive(Debug, Default)]
pub(super) struct GoneKids(VecDeque<(Box<str>, UnixTime)>);

impl GoneKids {
    /// A key has left the set.
    pub(super) fn insert(&mut self, kid: &str, now: UnixTime) {
        self.0.retain(|(known, _)| **known != *kid);
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((kid.into(), now));
    }

    /// Whether it is known that there is no such key now.
    pub(super) fn contains(&self, kid: &str, now: UnixTime) -> bool {
        self.0.iter().any(|(known, since)| **known == *kid && *since <= now && now < *since + REST)
    }

    /// It was asked for, and is still not there.
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
    fn memory_of_kids_that_are_gone_is_bounded_and_rests_five_minutes() {
        let (mut gone, now) = (GoneKids::default(), UnixTime::from_secs(1_800_000_000));
        for number in 0..1_000 {
            gone.insert(&format!("kid-{number}"), now);
        }
        assert_eq!(gone.0.len(), MOST);
        assert!(!gone.contains("kid-0", now));
        assert!(gone.contains("kid-999", now + Duration::from_secs(299)));
        assert!(!gone.contains("kid-999", now + REST));
        gone.confirm("kid-999", now + REST);
        assert!(gone.contains("kid-999", now + REST));
        gone.confirm("a stranger", now);
        assert!(!gone.contains("a stranger", now));
    }
}
