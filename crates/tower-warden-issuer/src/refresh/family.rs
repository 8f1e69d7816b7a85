use tower_warden::{Digest, UnixTime, caller::Confirmation, scope::Scopes};

/// The refresh tokens that follow from one another, as a [`RefreshStore`](super::RefreshStore) keeps them. It has no token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RefreshFamily {
    /// The id, which is the `sid` of its access tokens.
    pub id: Box<str>,
    /// The client that the tokens were issued to.
    pub client_id: Box<str>,
    /// The subject of its access tokens.
    pub subject: Box<str>,
    /// The resource of its access tokens.
    pub resource: Box<str>,
    /// The scopes that were granted; an access token may have fewer.
    pub scopes: Scopes,
    /// The key or certificate that its tokens are bound to; `None` for bearer tokens.
    pub confirmation: Option<Confirmation>,
    /// The second from which on its tokens are refused, however often they are used.
    pub expires_at: UnixTime,
    /// The time of the last rotation, or of the beginning.
    pub rotated_at: UnixTime,
    /// The number of rotations: the current token has this number, the first token is number zero.
    pub generation: u64,
    /// The seed that the current token was derived from, together with the token before it.
    pub seed: Option<Digest>,
    /// The state, which decides whether its tokens may be used.
    pub status: FamilyStatus,
}

/// The state of a family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FamilyStatus {
    /// Its tokens may be used.
    Active,
    /// Its tokens are refused.
    Revoked,
}

/// A token that was found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FoundToken {
    /// Its family.
    pub family: RefreshFamily,
    /// Its number in the family.
    pub number: u64,
}

impl FoundToken {
    /// The token with this number.
    #[must_use]
    pub const fn new(family: RefreshFamily, number: u64) -> Self {
        Self { family, number }
    }
}

/// The replacement of the current token of a family.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rotation {
    /// The family.
    pub family_id: Box<str>,
    /// The number of the token that is replaced.
    pub from: u64,
    /// The digest of the new token.
    pub token: Digest,
    /// The seed that the new token was derived from.
    pub seed: Digest,
    /// The time of the request.
    pub now: UnixTime,
}

/// The result of a rotation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RotationOutcome {
    /// The token was not the current one any more, or the family is revoked: nothing was changed. The family, as it is now.
    Lost(Box<RefreshFamily>),
    /// The family does not exist any more.
    Missing,
    /// The new token is the current one.
    Rotated,
}
