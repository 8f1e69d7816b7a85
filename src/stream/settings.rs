//! The settings of a layer, and the wait for the end of a credential.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::ended::{CredentialEnded, is_outage};
use crate::{
    auth::Authentication,
    caller::Identity,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    time::UnixTime,
};

/// The longest wait before the clock is read again, which may be set meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The time-out of one check.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) authentication: Arc<Authentication>,
    pub(super) interval: Duration,
    pub(super) outage_grace: Duration,
}

impl Settings {
    /// Returns whether anything can end one of these credentials.
    pub(super) fn can_end(&self, identities: &[Arc<Identity>]) -> bool {
        identities.iter().any(|identity| identity.expires_at.is_some() || self.authentication.is_revocable(identity))
    }

    /// Waits until the first of these credentials ends. It wakes up when one expires, and for checks if one can be
    /// revoked.
    pub(super) async fn end_of(self: Arc<Self>, mut identities: Vec<Arc<Identity>>) -> CredentialEnded {
        let is_checked = identities.iter().any(|identity| self.authentication.is_revocable(identity));
        let mut last_answer = Instant::now();
        let mut next_check = last_answer + self.interval;
        loop {
            let until_expiry = remaining(&identities, self.authentication.clock().now());
            if until_expiry == Some(Duration::ZERO) {
                return CredentialEnded::EXPIRED;
            }
            let until_check = is_checked.then(|| next_check.saturating_duration_since(Instant::now()));
            if until_check != Some(Duration::ZERO) {
                let waits = until_expiry.into_iter().chain(until_check);
                sleep(waits.fold(LONGEST_WAIT, Duration::min)).await;
                continue;
            }
            // A check that hangs does not delay the expiry.
            let limit = until_expiry.map_or(TIMEOUT, |wait| wait.min(TIMEOUT));
            let checked = timeout(limit, self.check(&mut identities)).await.unwrap_or_else(|_| Err(timed_out()));
            match checked {
                Ok(()) => last_answer = Instant::now(),
                // As long as nothing answers, an outage ends no response, up to a limit.
                Err(rejection) if is_outage(&rejection) && last_answer.elapsed() < self.outage_grace => {}
                Err(rejection) => return CredentialEnded::by(&rejection),
            }
            next_check = Instant::now() + self.interval;
        }
    }

    async fn check(&self, identities: &mut [Arc<Identity>]) -> Result<(), Rejection> {
        for identity in identities {
            *identity = self.authentication.recheck(identity).await?;
        }
        Ok(())
    }
}

/// The time until the first of the credentials is refused as expired; `None` if none expires.
fn remaining(identities: &[Arc<Identity>], now: UnixTime) -> Option<Duration> {
    let ends = identities.iter().filter_map(|identity| Some(identity.expires_at? + identity.skew));
    ends.min().map(|end| Duration::from_secs(end.as_secs().saturating_sub(now.as_secs())))
}

fn timed_out() -> Rejection {
    Rejection::new(RejectionKind::Unavailable, Reason::REVOCATIONS_UNAVAILABLE)
}
