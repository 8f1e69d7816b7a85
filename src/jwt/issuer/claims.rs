//! Settings about the claims that describe the caller.

use super::{ClaimRule, Ids, Issuer, Presence, SubjectFallback, Tenant};
use crate::jwt::expected_claim::ExpectedClaim;

impl Issuer {
    /// Refuses tokens without `jti`, which cannot be revoked individually.
    #[must_use]
    pub const fn require_jti(mut self) -> Self {
        self.needs_token_id = true;
        self
    }

    /// Refuses tokens unless this claim has an accepted value: a string, a boolean, a number, or another
    /// [`ExpectedClaim`], such as `token_use` and `access` for Cognito.
    ///
    /// The place is the name of a claim, or a JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)) if it
    /// begins with a slash: `/org/id`, or `/groups/0` for the first item of a list. A token in which `org` is neither an object nor
    /// a list is refused, also where the claim is optional.
    #[must_use]
    pub fn require_claim(self, place: impl Into<Box<str>>, expected: impl Into<ExpectedClaim>) -> Self {
        self.rule(place.into(), expected.into(), Presence::Required)
    }

    /// Refuses tokens in which this claim is present and does not have an accepted value, such as `azp` for Clerk. See
    /// [`require_claim`](Self::require_claim).
    #[must_use]
    pub fn check_claim_if_present(self, place: impl Into<Box<str>>, expected: impl Into<ExpectedClaim>) -> Self {
        self.rule(place.into(), expected.into(), Presence::Optional)
    }

    /// Reads the subject from the first of these claims that is present and not empty. By default it is `sub`, for
    /// introspection also `username`; a token without a subject is refused.
    ///
    /// The subjects of all these claims share one namespace: name only claims whose values the issuer assigns, and nobody can
    /// choose. The places have the syntax of [`require_claim`](Self::require_claim).
    #[must_use]
    pub fn subject_claims(mut self, places: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.subject.claims = Some(places.into_iter().map(Into::into).collect());
        self
    }

    /// Accepts tokens that name a client and no subject: the subject is then the client.
    ///
    /// Only for issuers that omit the subject from tokens of clients, and never from tokens of users: all users for whom a
    /// client obtains such tokens would be one subject.
    #[must_use]
    pub const fn client_as_subject(mut self) -> Self {
        self.subject.fallback = SubjectFallback::Client;
        self
    }

    /// Accepts whole numbers as subject, client, tenant, token id, session id and tier, in decimal digits. By default a number
    /// in their place refuses the token.
    #[must_use]
    pub const fn accept_numeric_ids(mut self) -> Self {
        self.ids = Ids::TextsAndNumbers;
        self
    }

    /// Reads scopes from this claim as well as from `scope`, `scp` and `scopes`; `permissions` for Auth0.
    ///
    /// The claim is a list of strings, each of which is one scope, or one such string. A string that is not a scope, because
    /// it contains a space for example, and a claim of another type grant nothing. Only `scope`, `scp` and `scopes` may be
    /// strings of scopes separated by spaces.
    #[must_use]
    pub fn scopes_claim(mut self, name: impl Into<Box<str>>) -> Self {
        self.scopes.push(name.into());
        self
    }

    /// Reads the tenant from this claim, and refuses tokens without it. The place has the syntax of
    /// [`require_claim`](Self::require_claim).
    #[must_use]
    pub fn tenant_claim(mut self, place: impl Into<Box<str>>) -> Self {
        self.tenant = Tenant::Claim(place.into());
        self
    }

    /// Assigns all subjects of this issuer to one tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Tenant::Fixed(tenant.into());
        self
    }

    /// Reads roles from this claim: a string, a list of strings (`/realm_access/roles` for Keycloak), or an object of objects,
    /// whose member names are the roles (`urn:zitadel:iam:org:project:roles` for Zitadel). The place has the syntax of
    /// [`require_claim`](Self::require_claim).
    #[must_use]
    pub fn roles_claim(mut self, place: impl Into<Box<str>>) -> Self {
        self.roles = Some(place.into());
        self
    }

    /// Reads the tier, which selects rate limits, from this claim. The place has the syntax of
    /// [`require_claim`](Self::require_claim).
    #[must_use]
    pub fn tier_claim(mut self, place: impl Into<Box<str>>) -> Self {
        self.tier = Some(place.into());
        self
    }

    pub(super) fn rule(mut self, place: Box<str>, expected: ExpectedClaim, presence: Presence) -> Self {
        self.checked.push(ClaimRule { place, expected, presence });
        self
    }
}
