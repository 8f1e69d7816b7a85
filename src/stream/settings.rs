//! The settings of a layer, and the wait for the end of a credential.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::ended::{CredentialEnded, is_outage};
use crate::{
    auth::Authentication,
    caller::{Identity, Recheck},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    time::UnixTime,
    warnings::Warnings,
};

/// The longest wait before the clock is read again, which may be set meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The time-out of one query of a check.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) authentication: Arc<Authentication>,
    pub(super) interval: Duration,
    pub(super) outage_grace: Duration,
    pub(super) warnings: Arc<Warnings>,
}

impl Settings {
    /// Returns whether anything can end one of these credentials.
    pub(super) fn can_end(&self, identities: &[Arc<Identity>]) -> bool {
        identities.iter().any(|identity| identity.expires_at.is_some() || self.authentication.is_revocable(identity))
    }

    /// Waits until the first of these credentials ends. It wakes up when one expires, and for checks if one can be
    /// revoked.
    pub(super) async fn end_of(self: Arc<Self>, identities: Vec<Arc<Identity>>) -> CredentialEnded {
        let is_checked = identities.iter().any(|identity| self.authentication.is_revocable(identity));
        let mut watched: Vec<_> = identities.into_iter().map(Watched::new).collect();
        // The first check of those that have failed without an answer since.
        let mut failing = None;
        let mut next_check = Instant::now() + self.interval;
        loop {
            let until_expiry = remaining(&watched, self.authentication.clock().now());
            if until_expiry == Some(Duration::ZERO) {
                return CredentialEnded::EXPIRED;
            }
            let until_check = is_checked.then(|| next_check.saturating_duration_since(Instant::now()));
            if until_check != Some(Duration::ZERO) {
                let waits = until_expiry.into_iter().chain(until_check);
                sleep(waits.fold(LONGEST_WAIT, Duration::min)).await;
                continue;
            }
            let began = Instant::now();
            let expiry = began + until_expiry.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
            let grace = match self.check(&mut watched, expiry).await {
                Ok(()) => None,
                Err(rejection) if is_outage(&rejection) => {
                    let grace = self.outage_grace.saturating_sub(failing.get_or_insert(began).elapsed());
                    if grace.is_zero() {
                        return CredentialEnded::by(&rejection);
                    }
                    Some(grace)
                }
                Err(rejection) => return CredentialEnded::by(&rejection),
            };
            failing = failing.filter(|_| grace.is_some());
            // A long interval does not prolong the grace period.
            next_check = Instant::now() + grace.map_or(self.interval, |grace| grace.min(self.interval));
        }
    }

    /// Checks each credential. That one is not valid is returned before an outage, which says nothing about it.
    async fn check(&self, watched: &mut [Watched], expiry: Instant) -> Result<(), Rejection> {
        let mut outage = Ok(());
        for watched in watched {
            let rechecked = watched.recheck(&self.authentication, expiry).await;
            let listed = within(expiry, self.authentication.check_listed(&watched.identity));
            let listed = listed.await.unwrap_or_else(|| Err(unavailable(Reason::REVOCATIONS_UNAVAILABLE)));
            for checked in [rechecked, listed] {
                match checked {
                    Err(rejection) if !is_outage(&rejection) => return Err(rejection),
                    failed => outage = outage.and(failed),
                }
            }
        }
        outage
    }
}

/// A credential whose end is awaited.
struct Watched {
    /// The present one.
    identity: Arc<Identity>,
    /// The last one: an identity without one does not end the checks.
    recheck: Option<Arc<dyn Recheck>>,
}

impl Watched {
    fn new(identity: Arc<Identity>) -> Self {
        Self { recheck: identity.recheck.clone(), identity }
    }

    async fn recheck(&mut self, authentication: &Authentication, expiry: Instant) -> Result<(), Rejection> {
        let Some(recheck) = &self.recheck else { return Ok(()) };
        let changed = within(expiry, authentication.recheck(&**recheck)).await;
        if let Some(identity) = changed.unwrap_or_else(|| Err(unavailable(Reason::RECHECK_UNAVAILABLE)))? {
            self.recheck = identity.recheck.clone().or_else(|| self.recheck.take());
            self.identity = identity;
        }
        Ok(())
    }
}

/// Waits for one query, which may hang: up to its time-out, and never beyond the expiry.
async fn within<T>(expiry: Instant, query: impl Future<Output = T>) -> Option<T> {
    timeout(TIMEOUT.min(expiry.saturating_duration_since(Instant::now())), query).await.ok()
}

/// The time until the first of the credentials is refused as expired; `None` if none expires.
fn remaining(watched: &[Watched], now: UnixTime) -> Option<Duration> {
    let identities = watched.iter().map(|watched| &watched.identity);
    let ends = identities.filter_map(|identity| Some(identity.expires_at? + identity.skew));
    ends.min().map(|end| Duration::from_secs(end.as_secs().saturating_sub(now.as_secs())))
}

fn unavailable(reason: Reason) -> Rejection {
    Rejection::new(RejectionKind::Unavailable, reason)
}
