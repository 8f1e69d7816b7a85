//! Checks of a credential after its request was admitted, while a long response is sent.

use std::sync::Arc;

use super::authentication::Authentication;
use crate::{
    caller::{Identity, NotRevoked, Recheck},
    refusal::Rejection,
    time::Clock,
};

impl Authentication {
    /// The number of the configuration by which credentials are checked: see `StreamGuardLayer`.
    pub(crate) const fn configuration(&self) -> u64 {
        self.configuration
    }

    /// The clock by which credentials expire.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Returns whether the credential can be revoked before it expires.
    pub(crate) fn is_revocable(&self, identity: &Identity) -> bool {
        self.revocations.is_some() || identity.recheck.is_some()
    }

    /// Checks what the authenticator may know since the request was admitted, and returns the identity if it has
    /// changed. Its expiry is left to the caller.
    pub(crate) async fn recheck(&self, recheck: &dyn Recheck) -> Result<Option<Arc<Identity>>, Rejection> {
        recheck.recheck(self.clock.now()).wait().await
    }

    /// Queries the revocation list again.
    pub(crate) async fn check_listed(&self, identity: &Identity) -> Result<(), Rejection> {
        let answer = match &self.revocations {
            Some(list) => Some(list.is_revoked(identity).wait().await),
            None => None,
        };
        NotRevoked::check(answer, &self.outage).map(drop)
    }
}
