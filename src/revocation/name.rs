//! Revocations, and the names by which credentials are revoked.

use std::{borrow::Cow, time::Duration};

use crate::{caller::Identity, time::UnixTime};

/// The credentials that a revocation covers.
///
/// Issuers, subjects and ids are compared byte for byte. Those of tokens belong to one issuer: two issuers can use the
/// same ids.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revocation {
    name: RevocationName<'static>,
    issued_until: UnixTime,
}

impl Revocation {
    /// The time for which a list stores a revocation longer than requested: ten minutes.
    ///
    /// Half of it is for [`Identity::skew`], the tolerance for the clocks of issuers. The other half is for requests that
    /// arrive before a credential expires and are decided later.
    pub const GRACE: Duration = Duration::from_secs(600);

    /// All credentials that were issued to a client, up to and including the second `issued_until`. See
    /// [`subject`](Self::subject).
    #[must_use]
    pub fn client(issuer: impl Into<String>, client_id: impl Into<String>, issued_until: UnixTime) -> Self {
        Self::new(RevocationName::owned(NameKind::Client, issuer, client_id), issued_until)
    }

    /// The API key with this id.
    ///
    /// [`ApiKeys::revoke`](crate::api_key::ApiKeys::revoke) revokes a key permanently. This revocation makes nodes refuse a
    /// key independently of the key store, for example while that is unavailable.
    #[must_use]
    pub fn key(id: impl Into<String>) -> Self {
        Self::new(RevocationName::owned(NameKind::Key, "", id), ANY_TIME)
    }

    /// All tokens of this session: the claim `sid`.
    #[must_use]
    pub fn session(issuer: impl Into<String>, session_id: impl Into<String>) -> Self {
        Self::new(RevocationName::owned(NameKind::Session, issuer, session_id), ANY_TIME)
    }

    /// All credentials of a subject that were issued up to and including the second `issued_until`.
    ///
    /// The whole second is included, because times in seconds do not order events within it. The time is that of the
    /// issuer's clock: if it may be ahead of the local clock, add the difference. A token without an issue time is
    /// covered by every revocation of its subject.
    #[must_use]
    pub fn subject(issuer: impl Into<String>, subject: impl Into<String>, issued_until: UnixTime) -> Self {
        Self::new(RevocationName::owned(NameKind::Subject, issuer, subject), issued_until)
    }

    /// The token with this id: the claim `jti`,
    /// [RFC 7519 §4.1.7](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.7).
    #[must_use]
    pub fn token(issuer: impl Into<String>, token_id: impl Into<String>) -> Self {
        Self::new(RevocationName::owned(NameKind::Token, issuer, token_id), ANY_TIME)
    }

    /// All credentials with this name that were issued up to and including the second `issued_until`: a revocation read
    /// from a store.
    #[must_use]
    pub const fn new(name: RevocationName<'static>, issued_until: UnixTime) -> Self {
        Self { name, issued_until }
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &RevocationName<'static> {
        &self.name
    }

    /// The last second of issue that is covered; the maximum [`UnixTime`] if all are.
    #[must_use]
    pub const fn issued_until(&self) -> UnixTime {
        self.issued_until
    }

    pub(super) fn into_parts(self) -> (RevocationName<'static>, UnixTime) {
        (self.name, self.issued_until)
    }
}

const ANY_TIME: UnixTime = UnixTime::from_secs(u64::MAX);

/// A name by which credentials are revoked: a token id, session, subject or client of an issuer, or the id of an API key.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     AuthMethod, Identity,
///     revocation::{Revocation, RevocationName},
/// };
///
/// let mut alice = Identity::new("alice", AuthMethod::Jwt);
/// alice.issuer = Some("https://auth.example.com".into());
/// alice.token_id = Some("4711".into());
///
/// let revocation = Revocation::token("https://auth.example.com", "4711");
/// assert!(RevocationName::all_of(&alice).any(|name| name == *revocation.name()));
///
/// // As a key in a store.
/// let stored = revocation.name().to_bytes();
/// assert_eq!(RevocationName::from_bytes(&stored).as_ref(), Some(revocation.name()));
/// assert_eq!(RevocationName::from_bytes(b"4711"), None);
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RevocationName<'a> {
    kind: NameKind,
    issuer: Cow<'a, str>,
    id: Cow<'a, str>,
}

/// The kind of a name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum NameKind {
    Client,
    Key,
    Session,
    Subject,
    Token,
}

impl NameKind {
    pub(super) const COUNT: usize = Self::Token as usize + 1;
}

impl<'a> RevocationName<'a> {
    /// The maximum length of issuer and id together, in bytes, that lists store.
    pub const MAX_LEN: usize = 1024;

    /// Returns all names by which an identity can be revoked, borrowed from it.
    pub fn all_of(identity: &'a Identity) -> impl Iterator<Item = Self> {
        let of_issuer = |kind, id: Option<&'a str>| {
            let issuer = identity.issuer.as_deref()?;
            Some(Self { kind, issuer: Cow::Borrowed(issuer), id: Cow::Borrowed(id?) })
        };
        let key = identity.key_id.as_deref();
        let names = [
            of_issuer(NameKind::Token, identity.token_id.as_deref()),
            of_issuer(NameKind::Session, identity.session_id.as_deref()),
            of_issuer(NameKind::Subject, Some(&identity.subject)),
            of_issuer(NameKind::Client, identity.client_id.as_deref()),
            key.map(|id| Self { kind: NameKind::Key, issuer: Cow::Borrowed(""), id: Cow::Borrowed(id) }),
        ];
        names.into_iter().flatten()
    }

    /// Encodes the name unambiguously: kind, length of the issuer, issuer, id.
    ///
    /// The encoding is stable, so that it can be stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let kind = match self.kind {
            NameKind::Client => b'c',
            NameKind::Key => b'k',
            NameKind::Session => b's',
            NameKind::Subject => b'u',
            NameKind::Token => b't',
        };
        let length = u32::try_from(self.issuer.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&[kind], &length[..], self.issuer.as_bytes(), self.id.as_bytes()].concat()
    }

    /// Decodes a name that [`to_bytes`](Self::to_bytes) has encoded; `None` for any other bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<RevocationName<'static>> {
        let (kind, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (issuer, id) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let kind = match kind {
            b'c' => NameKind::Client,
            b'k' => NameKind::Key,
            b's' => NameKind::Session,
            b'u' => NameKind::Subject,
            b't' => NameKind::Token,
            _ => return None,
        };
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(|text| Cow::Owned(text.to_owned()));
        Some(RevocationName { kind, issuer: text(issuer)?, id: text(id)? })
    }

    /// The length of issuer and id together, in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a name is never empty")]
    pub fn len(&self) -> usize {
        self.issuer.len() + self.id.len()
    }

    pub(super) const fn kind(&self) -> NameKind {
        self.kind
    }

    fn owned(kind: NameKind, issuer: impl Into<String>, id: impl Into<String>) -> RevocationName<'static> {
        RevocationName { kind, issuer: Cow::Owned(issuer.into()), id: Cow::Owned(id.into()) }
    }
}
