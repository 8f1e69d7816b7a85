//! The rules for tokens as the introspection endpoint of an issuer describes them.

use std::time::Duration;

use super::{Expiry, Issuer, IssuerName};
use crate::{
    caller::Identity,
    json::{Json, Object},
    jwt::fault::{Fault, OneOf},
    reason::Reason,
};

impl Issuer {
    /// The tokens of the configured issuer as its introspection endpoint describes them: `exp` is optional, and `username`
    /// names the subject if `sub` is missing.
    pub(crate) fn for_introspection(mut self) -> Self {
        self.expiry = Expiry::Optional;
        self.subject.claims.get_or_insert_with(|| vec!["sub".into(), "username".into()]);
        self
    }

    /// Checks that an introspection response describes a token of this issuer: by `iss` if it is there, by the claim in the
    /// place of `iss` in any case.
    pub(crate) fn check_introspected_name(&self, claims: &Object<'_>) -> Result<(), Fault> {
        let is_domain = matches!(self.name, IssuerName::TrustDomain(_));
        let claim = if is_domain { "sub" } else { "iss" };
        let named = claims.get(claim).filter(|value| **value != Json::Null);
        if (named.is_none() && !is_domain) || self.name.of_token(claims).is_some() {
            return Ok(());
        }
        Err(Fault::mismatch(Reason::ISSUER_MISMATCH, claim, OneOf(&[self.name()]), named))
    }

    /// Sets the end of a token without `exp` that was issued at a known time: from then on, its lifetime is longer than
    /// the maximum, for which no clock skew is tolerated.
    pub(crate) fn limit_lifetime(&self, identity: &mut Identity) {
        if let (None, Some(issued_at)) = (identity.expires_at, identity.issued_at) {
            identity.expires_at = Some(issued_at + self.max_lifetime);
            identity.skew = Duration::ZERO;
        }
    }

    /// Treats an `exp` of zero as none.
    pub(crate) const fn with_zero_as_no_expiry(mut self) -> Self {
        self.expiry = Expiry::OptionalOrZero;
        self
    }
}
