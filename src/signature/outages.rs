//! The states of the directories of agents.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::{Duration, Instant},
};

#[cfg(feature = "audit")]
use std::sync::{Arc, OnceLock};

#[cfg(feature = "audit")]
use crate::notice::Observer;
use crate::{
    error::Unavailable,
    log::{self, Causes},
    outage::Outage,
};

/// The largest number of directories whose outages are reported: their names come from requests.
const MAX_AGENTS: usize = 256;

/// The time after its last failure for which a directory counts among them.
const LIFETIME: Duration = Duration::from_secs(3600);

const DEPENDENCY: &str = "signature keys";

/// The states of a source of keys: of each directory that failed, and of the source where there is none. One that is down does
/// not change those of the others.
pub(super) struct Outages {
    of_agents: RwLock<HashMap<Box<str>, Failed>>,
    of_source: Outage,
    #[cfg(feature = "audit")]
    observer: OnceLock<Arc<dyn Observer>>,
}

/// A directory that failed.
struct Failed {
    last: Instant,
    outage: Outage,
}

impl Outages {
    pub(super) fn new() -> Self {
        Self {
            of_agents: RwLock::default(),
            of_source: Outage::of(DEPENDENCY),
            #[cfg(feature = "audit")]
            observer: OnceLock::new(),
        }
    }

    /// Reports outages to this observer as well.
    #[cfg(feature = "audit")]
    pub(super) fn observed_by(&self, observer: &Arc<dyn Observer>) {
        self.of_source.observed_by(observer);
        let _ = self.observer.set(Arc::clone(observer));
    }

    /// Notes that a key could not be looked up, in the directory of an agent if there is one.
    pub(super) fn begin(&self, agent: Option<&str>, error: &Unavailable) {
        match agent {
            None => self.of_source.begin(Causes(error), || {
                log::warning!(
                    error = %Causes(error),
                    "the source of signature keys does not respond; requests are refused with 503 until it does"
                );
            }),
            Some(agent) => self.begin_of_agent(agent, error, Instant::now()),
        }
    }

    /// Notes that it could be.
    pub(super) fn end(&self, agent: Option<&str>) {
        match agent {
            None => self.of_source.end(),
            Some(agent) => {
                let agents = self.of_agents.read().unwrap_or_else(PoisonError::into_inner);
                let outage = agents.get(agent).map(|failed| failed.outage.clone());
                // The observer is not called with the lock.
                drop(agents);
                if let Some(outage) = outage {
                    outage.end();
                }
            }
        }
    }

    fn begin_of_agent(&self, agent: &str, error: &Unavailable, now: Instant) {
        let Some(outage) = self.of_agent(agent, now) else { return };
        outage.begin(Causes(error), || {
            log::warning!(
                error = %Causes(error),
                directory = %agent,
                "the directory of an agent does not respond; its requests are refused with 503 until it does"
            );
        });
    }

    /// The state of a directory that fails now; `None` if too many have failed.
    fn of_agent(&self, agent: &str, now: Instant) -> Option<Outage> {
        let mut agents = self.of_agents.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(failed) = agents.get_mut(agent) {
            failed.last = now;
            return Some(failed.outage.clone());
        }
        // Nobody may ask again for a directory that failed: its outage would not end.
        let forgotten: Vec<_> = agents.extract_if(|_, failed| now - failed.last >= LIFETIME).collect();
        let outage = (agents.len() < MAX_AGENTS).then(|| Outage::of_issuer(DEPENDENCY, agent));
        if let Some(outage) = &outage {
            #[cfg(feature = "audit")]
            if let Some(observer) = self.observer.get() {
                outage.observed_by(observer);
            }
            agents.insert(agent.into(), Failed { last: now, outage: outage.clone() });
        }
        // The observer is not called with the lock.
        drop(agents);
        drop(forgotten);
        outage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_that_failed_make_room_after_an_hour_without_a_request() {
        let (outages, start) = (Outages::new(), Instant::now());
        (0..MAX_AGENTS).for_each(|number| drop(outages.of_agent(&number.to_string(), start)));
        assert!(outages.of_agent("a further one", start).is_none());
        let end = start + LIFETIME;
        assert!(outages.of_agent("0", end).is_some());
        assert!(outages.of_agent("a further one", end).is_some());
        assert_eq!(outages.of_agents.read().unwrap_or_else(PoisonError::into_inner).len(), 2);
    }
}
