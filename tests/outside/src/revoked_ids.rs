//! A revocation list: the ids of revoked tokens.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

use tower_warden::{Eventual, Identity, Unavailable, revocation::RevocationList};

/// The ids of revoked tokens of one issuer; clones share them.
#[derive(Clone, Debug, Default)]
pub struct RevokedIds(Arc<RwLock<HashSet<String>>>);

impl RevokedIds {
    pub fn revoke(&self, token_id: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(token_id.to_owned());
    }
}

impl RevocationList for RevokedIds {
    fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
        let ids = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Eventual::Now(Ok(identity.token_id.as_deref().is_some_and(|id| ids.contains(id))))
    }
}
