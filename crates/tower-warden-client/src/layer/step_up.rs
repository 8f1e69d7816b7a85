use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tower_warden::scope::Scopes;

use crate::grant::union;

/// The scopes that servers have asked for, and how often that was in vain.
#[derive(Debug)]
pub(super) struct StepUps {
    /// `None` if the authorization server alone decides.
    allowed: Option<Scopes>,
    max: NonZeroU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of attempts in vain, by scopes.
    failures: HashMap<Scopes, u32>,
    /// The scopes with which requests have succeeded.
    needed: Arc<Scopes>,
}

impl StepUps {
    pub(super) fn new(max: NonZeroU32, allowed: Option<Scopes>) -> Self {
        Self { allowed, max, state: Mutex::default() }
    }

    /// The scopes that requests need in addition to those of the source, if they need any.
    pub(super) fn needed(&self) -> Option<Arc<Scopes>> {
        Some(Arc::clone(&self.state().needed)).filter(|needed| !needed.is_empty())
    }

    /// The scopes of another attempt; `None` if they are granted already, if it is not known which are granted (a token for
    /// the asked ones alone would have fewer than the old one), if not all are allowed, or if the attempts are used up.
    pub(super) fn attempt(&self, granted: Option<&Scopes>, asked: &Scopes) -> Option<Arc<Scopes>> {
        let granted = granted?;
        let is_allowed = |scope| self.allowed.as_ref().is_none_or(|allowed| allowed.contains(scope));
        if granted.contains_all(asked) || !asked.iter().all(|scope| granted.contains(scope) || is_allowed(scope)) {
            return None;
        }
        let state = self.state();
        let wanted = union(&union(&state.needed, asked), granted);
        let failures = state.failures.get(&wanted).copied().unwrap_or_default();
        let is_counted = state.failures.len() < MAX_SETS || failures > 0;
        (wanted.len() <= MAX_SCOPES && is_counted && failures < self.max.get()).then(|| Arc::new(wanted))
    }

    /// Counts an attempt in vain: the scopes were not granted, or the server asks for them again.
    pub(super) fn fail(&self, scopes: &Scopes) {
        let mut state = self.state();
        if state.failures.len() < MAX_SETS || state.failures.contains_key(scopes) {
            let failures = state.failures.entry(scopes.clone()).or_default();
            *failures = failures.saturating_add(1);
        }
    }

    /// Asks for none of the scopes any more, because the authorization server has withdrawn one.
    pub(super) fn forget(&self) {
        self.state().needed = Arc::default();
    }

    /// Uses the scopes for the next requests, too: a request with them was not refused for its scopes.
    pub(super) fn succeed(&self, scopes: &Arc<Scopes>) {
        let mut state = self.state();
        state.failures.remove(&**scopes);
        state.needed = Arc::new(union(&state.needed, scopes));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of scopes of one token, some of which a server has chosen.
const MAX_SCOPES: usize = 128;

/// The number of sets of scopes whose attempts are counted. Beyond it, there are none.
const MAX_SETS: usize = 64;
