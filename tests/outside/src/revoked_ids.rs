//! A revocation list: the ids of revoked tokens.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

use tower_warden::{Eventual, Identity, Unavailable, revocation::RevocationList};

/// The ids of revoked tokens by issuer, because an id is unique within its issuer only; clones share them.
#[derive(Clone, Debug, Default)]
pub struct RevokedIds(Arc<RwLock<HashMap<String, HashSet<String>>>>);

impl RevokedIds {
    pub fn revoke(&self, issuer: &str, token_id: &str) {
        let mut ids = self.0.write().unwrap_or_else(PoisonError::into_inner);
        ids.entry(issuer.to_owned()).or_default().insert(token_id.to_owned());
    }
}

impl RevocationList for RevokedIds {
    fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
        let (Some(issuer), Some(id)) = (identity.issuer.as_deref(), identity.token_id.as_deref()) else {
            return Eventual::Now(Ok(false));
        };
        let ids = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Eventual::Now(Ok(ids.get(issuer).is_some_and(|ids| ids.contains(id))))
    }
}
