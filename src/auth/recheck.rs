//! Checks of a credential after its request was admitted, while a long response is sent.

use std::sync::Arc;

use super::authentication::Authentication;
use crate::{
    caller::{Identity, NotRevoked},
    refusal::Rejection,
    time::Clock,
};

impl Authentication {
    /// The clock by which credentials expire.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Returns whether the credential can be revoked before it expires.
    pub(crate) fn is_revocable(&self, identity: &Identity) -> bool {
        self.revocations.is_some() || identity.recheck.is_some()
    }

    /// Checks again what may have changed since the request was admitted, and returns the present identity. Its expiry
    /// is left to the caller.
    pub(crate) async fn recheck(&self, identity: &Arc<Identity>) -> Result<Arc<Identity>, Rejection> {
        let changed = match &identity.recheck {
            Some(recheck) => recheck.recheck(self.clock.now()).wait().await?,
            None => None,
        };
        let present = changed.unwrap_or_else(|| Arc::clone(identity));
        let answer = match &self.revocations {
            Some(list) => Some(list.is_revoked(&present).wait().await),
            None => None,
        };
        NotRevoked::check(answer, &self.outage)?;
        Ok(present)
    }
}
