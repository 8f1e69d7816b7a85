//! The states of the directories of agents.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
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

/// The largest number of directories whose outages are reported one by one: their names come from requests.
const MAX_AGENTS: usize = 256;

/// The states of a source of keys: of each directory that failed, and of the source where there is none. One that is down does
/// not change those of the others.
pub(super) struct Outages {
    of_agents: RwLock<HashMap<Box<str>, Outage>>,
    of_source: Outage,
    #[cfg(feature = "audit")]
    observer: OnceLock<Arc<dyn Observer>>,
}

impl Outages {
    pub(super) fn new() -> Self {
        Self {
            of_agents: RwLock::default(),
            of_source: new_outage(),
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
        agent.map_or_else(|| self.of_source.clone(), |agent| self.of_agent(agent)).begin(Causes(error), || {
            log::warning!(
                error = %Causes(error),
                "the source of signature keys does not respond; requests are refused with 503 until it does"
            );
        });
    }

    /// Notes that it could be.
    pub(super) fn end(&self, agent: Option<&str>) {
        match agent {
            None => self.of_source.end(),
            Some(agent) => {
                if let Some(outage) = self.of_agents.read().unwrap_or_else(PoisonError::into_inner).get(agent) {
                    outage.end();
                }
            }
        }
    }

    fn of_agent(&self, agent: &str) -> Outage {
        let mut agents = self.of_agents.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(outage) = agents.get(agent) {
            return outage.clone();
        }
        if agents.len() == MAX_AGENTS {
            return self.of_source.clone();
        }
        let outage = new_outage();
        #[cfg(feature = "audit")]
        if let Some(observer) = self.observer.get() {
            outage.observed_by(observer);
        }
        agents.insert(agent.into(), outage.clone());
        outage
    }
}

fn new_outage() -> Outage {
    Outage::of("signature keys")
}
