//! Comparison of the rule sets of one issuer.

use super::{ClaimRule, IdTokens, Issuer, OtherAudiences, Presence, Profile};

impl Issuer {
    /// Returns whether every token that `other` accepts is one that these rules take first.
    pub(in crate::jwt) fn includes(&self, other: &Self) -> bool {
        let audiences = match (&self.audiences, &other.audiences) {
            (None, _) => true,
            (Some(own), Some(others)) => others.iter().all(|audience| own.contains(audience)),
            (Some(_), None) => false,
        };
        let other_audiences = self.audiences.is_none()
            || self.other_audiences == OtherAudiences::Accepted
            || other.other_audiences == OtherAudiences::Refused;
        // Each own requirement is also one of the other's.
        let claims = self.checked.iter().all(|own| {
            let is_included = |theirs: &ClaimRule| {
                own.place == theirs.place
                    && (own.presence == Presence::Optional || theirs.presence == Presence::Required)
                    && own.expected.includes(&theirs.expected)
            };
            other.checked.iter().any(is_included)
        });
        let profile = match (self.profile, other.profile) {
            (
                Profile::ClientAssertion
                | Profile::Grant
                | Profile::IdentityAssertion
                | Profile::Strict
                | Profile::Svid,
                _,
            ) => other.profile == self.profile,
            (Profile::Common, Profile::ClientAssertion | Profile::Grant | Profile::IdentityAssertion) => false,
            // Tokens of RFC 9068 are not searched for the signs of an ID token.
            (Profile::Common, Profile::Strict) => true,
            (Profile::Common, _) => self.id_tokens == IdTokens::Accepted || self.id_tokens == other.id_tokens,
        };
        self.name == other.name
            && self.algorithms_include(other)
            && (self.audiences.is_none() || self.audience_claim == other.audience_claim)
            && audiences
            && claims
            && profile
            && self.template_claim == other.template_claim
            && other_audiences
            && (!self.needs_token_id || other.needs_token_id || other.profile == Profile::Strict)
    }

    /// Returns whether both accept tokens for the same audiences, in the same claim.
    pub(in crate::jwt) fn has_audiences_of(&self, other: &Self) -> bool {
        let is_subset = |some: &[Box<str>], others: &[Box<str>]| some.iter().all(|audience| others.contains(audience));
        match (&self.audiences, &other.audiences) {
            (None, None) => true,
            (Some(own), Some(others)) => {
                self.audience_claim == other.audience_claim && is_subset(own, others) && is_subset(others, own)
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    fn algorithms_include(&self, other: &Self) -> bool {
        other.algorithms.iter().all(|algorithm| self.algorithms.contains(algorithm))
    }
}
