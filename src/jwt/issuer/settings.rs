//! The values of an issuer's settings.

use crate::jwt::expected_claim::ExpectedClaim;

/// The treatment of tokens with and without an actor, RFC 8693 §4.1.
#[derive(Clone, Copy, Debug)]
pub(in crate::jwt) enum Actors {
    Accepted,
    Denied,
    Required,
}

/// A requirement on the value of a claim.
#[derive(Clone, Debug)]
pub(in crate::jwt) struct ClaimRule {
    pub(in crate::jwt) place: Box<str>,
    pub(in crate::jwt) expected: ExpectedClaim,
    pub(in crate::jwt) presence: Presence,
}

/// The treatment of tokens without a claim that has a requirement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::jwt) enum Presence {
    Optional,
    Required,
}

/// The treatment of tokens without `exp`.
#[derive(Clone, Copy, Debug)]
pub(in crate::jwt) enum Expiry {
    Required,
    #[cfg(any(feature = "introspection", feature = "jwks"))]
    Optional,
    /// Zero stands for none.
    #[cfg(feature = "introspection")]
    OptionalOrZero,
}

/// The treatment of tokens with the signs of an ID token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::jwt) enum IdTokens {
    Accepted,
    Refused,
}

/// The JSON types of ids.
#[derive(Clone, Copy, Debug)]
pub(in crate::jwt) enum Ids {
    Texts,
    TextsAndNumbers,
}

/// The treatment of tokens that have other audiences as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::jwt) enum OtherAudiences {
    Accepted,
    Refused,
}

/// The kinds of token that are accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::jwt) enum Profile {
    /// Assertions of a client at the token endpoint.
    ClientAssertion,
    /// All tokens without a `typ` that marks another kind.
    Common,
    /// Assertions that are grants at the token endpoint, RFC 7523 §2.1.
    Grant,
    /// ID-JAG.
    IdentityAssertion,
    /// RFC 9068.
    Strict,
    /// JWT-SVID.
    Svid,
}

/// The claims that name the subject.
#[derive(Clone, Debug)]
pub(in crate::jwt) struct Subject {
    /// `None` for the default.
    pub(in crate::jwt) claims: Option<Vec<Box<str>>>,
    pub(in crate::jwt) fallback: SubjectFallback,
}

/// The subject of a token that names none.
#[derive(Clone, Copy, Debug)]
pub(in crate::jwt) enum SubjectFallback {
    Client,
    None,
}

/// The tenant of the issuer's subjects.
#[derive(Clone, Debug)]
pub(in crate::jwt) enum Tenant {
    Claim(Box<str>),
    Fixed(Box<str>),
    None,
}
