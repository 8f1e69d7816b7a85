//! Issuers and their keys.

use std::{fmt, sync::Arc};

use super::Issuer;
use crate::{jwt::source::KeySource, outage::Outage};

/// An issuer and the source of its keys, as an [`IssuerResolver`](crate::jwt::IssuerResolver) returns it.
#[derive(Clone)]
pub struct TrustedIssuer {
    pub(in crate::jwt) issuer: Issuer,
    pub(in crate::jwt) keys: Arc<dyn KeySource>,
    /// The state of the key source.
    pub(in crate::jwt) outage: Outage,
}

impl TrustedIssuer {
    /// The issuer's tokens are verified with these keys only.
    #[must_use]
    pub fn new(issuer: Issuer, keys: impl KeySource) -> Self {
        let outage = Outage::of_issuer("issuer keys", issuer.name());
        Self { issuer, keys: Arc::new(keys), outage }
    }
}

impl fmt::Debug for TrustedIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedIssuer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}
