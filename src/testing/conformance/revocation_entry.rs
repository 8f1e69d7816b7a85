//! The revocations that a list under test adds.

use crate::{caller::Identity, revocation::Revocation, time::UnixTime};

/// The kind of name that a credential is revoked by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RevokedBy {
    /// The OAuth client that it was issued to, up to a second.
    Client,
    /// The id of an API key.
    Key,
    /// The session: the claim `sid`.
    Session,
    /// The subject, up to a second.
    Subject,
    /// The id of a token: the claim `jti`.
    Token,
}

impl RevokedBy {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Client, Self::Key, Self::Session, Self::Subject, Self::Token];

    /// Names of API keys have no issuer.
    pub(super) const fn has_issuer(self) -> bool {
        !matches!(self, Self::Key)
    }

    pub(super) const fn has_issued_until(self) -> bool {
        matches!(self, Self::Client | Self::Subject)
    }
}

/// A revocation that a list under test has to add.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RevocationEntry<'a> {
    /// The kind of the name.
    pub by: RevokedBy,
    /// The issuer; empty for API keys.
    pub issuer: &'a str,
    /// The name.
    pub id: &'a str,
    /// The last second in which a revoked credential was issued, for subjects and clients.
    pub issued_until: Option<UnixTime>,
}

impl RevocationEntry<'_> {
    /// The same, as lists of this crate take it.
    #[must_use]
    pub fn revocation(&self) -> Revocation {
        let Self { by, issuer, id, issued_until } = *self;
        let issued_until = issued_until.unwrap_or(LAST_SECOND);
        match by {
            RevokedBy::Client => Revocation::client(issuer, id, issued_until),
            RevokedBy::Key => Revocation::key(id),
            RevokedBy::Session => Revocation::session(issuer, id),
            RevokedBy::Subject => Revocation::subject(issuer, id, issued_until),
            RevokedBy::Token => Revocation::token(issuer, id),
        }
    }
}

pub(super) fn entry<'a>(by: RevokedBy, issuer: &'a str, id: &'a str) -> RevocationEntry<'a> {
    let issuer = if by.has_issuer() { issuer } else { "" };
    RevocationEntry { by, issuer, id, issued_until: by.has_issued_until().then_some(LAST_SECOND) }
}

pub(super) fn name_by(identity: &mut Identity, by: RevokedBy, name: &str) {
    match by {
        RevokedBy::Client => identity.client_id = Some(name.into()),
        RevokedBy::Key => identity.key_id = Some(name.into()),
        RevokedBy::Session => identity.session_id = Some(name.into()),
        RevokedBy::Subject => identity.subject = name.into(),
        RevokedBy::Token => identity.token_id = Some(name.into()),
    }
}

/// The last second in which revoked credentials were issued.
pub(super) const LAST_SECOND: UnixTime = UnixTime::from_secs(1_800_000_000);
