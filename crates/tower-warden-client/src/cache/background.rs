use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tower_warden::scope::Scopes;

use super::{
    settings::Settings,
    slots::Slots,
    state::{Decision, Pending},
};
use crate::TokenSource;

/// Refreshes the token of a cache when it is due, until the cache is dropped.
pub(super) async fn keep_fresh(slots: Weak<Slots>, settings: Settings, source: Arc<dyn TokenSource>) {
    loop {
        // The cache is not kept alive while the task waits.
        let Some(pending) = slots.upgrade().map(|slots| due(&slots, &settings, &source)) else { return };
        if let Some(pending) = pending {
            // A failure is logged by the refresh, and delays the next one.
            let _ = pending.await;
        }
        let Some(delay) = slots.upgrade().map(|slots| slots.own().state().refresh_in(settings.moment())) else {
            return;
        };
        tokio::time::sleep(Duration::from_secs(delay.clamp(1, MAX_DELAY))).await;
    }
}

/// Starts the refresh that is due, or returns the one that is pending.
fn due(slots: &Slots, settings: &Settings, source: &Arc<dyn TokenSource>) -> Option<Pending> {
    let slot = slots.own();
    let mut state = slot.state();
    match state.decide(settings) {
        Decision::Now(_) => None,
        Decision::Refresh | Decision::RefreshEarly(_) => {
            let registered = slot.register(&mut state, settings, Arc::clone(source), &Scopes::default());
            drop(state);
            let (pending, unstarted) = registered.ok()?;
            unstarted.start();
            Some(pending)
        }
        Decision::Wait(pending) => Some(pending),
    }
}

/// The longest delay in seconds, after which the clock is read again: it may have been set.
const MAX_DELAY: u64 = 60;
