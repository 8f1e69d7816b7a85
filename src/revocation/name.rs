//! By which names credentials are revoked.

use std::borrow::Cow;

use crate::{caller::Identity, time::UnixTime};

/// Which credentials count no more.
///
/// Names are compared byte by byte. Those of tokens are names of one issuer: two issuers may use the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revocation {
    pub(super) name: Name<'static>,
    /// What was issued later still counts.
    pub(super) issued_until: UnixTime,
}

impl Revocation {
    /// Everything that a client was given up to the second `issued_until`, and in it. See [`subject`](Self::subject).
    #[must_use]
    pub fn client(issuer: impl Into<String>, client_id: impl Into<String>, issued_until: UnixTime) -> Self {
        Self { issued_until, ..Self::ever(Kind::Client, issuer, client_id) }
    }

    /// The API key with this id.
    ///
    /// [`ApiKeys::revoke`](crate::api_key::ApiKeys::revoke) is the way to revoke a key for good; this one is for a node that
    /// shall refuse it by itself, as when the store is down.
    #[must_use]
    pub fn key(id: impl Into<String>) -> Self {
        Self::ever(Kind::Key, "", id)
    }

    /// Every token of this session: the claim `sid`.
    #[must_use]
    pub fn session(issuer: impl Into<String>, session_id: impl Into<String>) -> Self {
        Self::ever(Kind::Session, issuer, session_id)
    }

    /// Everything of a subject that was issued up to the second `issued_until`, and in it.
    ///
    /// In that second, because whole seconds do not tell what came first. By the issuer's clock: if it may be ahead of
    /// yours, name a second that is so much later. A token that does not say when it was issued counts as older.
    #[must_use]
    pub fn subject(issuer: impl Into<String>, subject: impl Into<String>, issued_until: UnixTime) -> Self {
        Self { issued_until, ..Self::ever(Kind::Subject, issuer, subject) }
    }

    /// The token with this id: the claim `jti`, RFC 7519 §4.1.7.
    #[must_use]
    pub fn token(issuer: impl Into<String>, token_id: impl Into<String>) -> Self {
        Self::ever(Kind::Token, issuer, token_id)
    }

    /// Whenever it was issued.
    fn ever(kind: Kind, issuer: impl Into<String>, id: impl Into<String>) -> Self {
        let name = Name { kind, issuer: Cow::Owned(issuer.into()), id: Cow::Owned(id.into()) };
        Self { name, issued_until: UnixTime::from_secs(u64::MAX) }
    }
}

/// One of the names by which a credential may be revoked.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Name<'a> {
    pub(super) kind: Kind,
    issuer: Cow<'a, str>,
    id: Cow<'a, str>,
}

/// What a name is the name of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Kind {
    Client,
    Key,
    Session,
    Subject,
    Token,
}

impl Kind {
    /// How many there are.
    pub(super) const COUNT: usize = Self::Token as usize + 1;
}

impl<'a> Name<'a> {
    /// All names of an identity, borrowed from it.
    pub(super) fn all_of(identity: &'a Identity) -> impl Iterator<Item = Self> {
        let of_issuer = |kind, id: Option<&'a str>| {
            let issuer = identity.issuer.as_deref()?;
            Some(Self { kind, issuer: Cow::Borrowed(issuer), id: Cow::Borrowed(id?) })
        };
        let key = identity.key_id.as_deref();
        let names = [
            of_issuer(Kind::Token, identity.token_id.as_deref()),
            of_issuer(Kind::Session, identity.session_id.as_deref()),
            of_issuer(Kind::Subject, Some(&identity.subject)),
            of_issuer(Kind::Client, identity.client_id.as_deref()),
            key.map(|id| Self { kind: Kind::Key, issuer: Cow::Borrowed(""), id: Cow::Borrowed(id) }),
        ];
        names.into_iter().flatten()
    }

    /// As it is written elsewhere: the kind, the length of the issuer, the issuer, the id.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let kind = match self.kind {
            Kind::Client => b'c',
            Kind::Key => b'k',
            Kind::Session => b's',
            Kind::Subject => b'u',
            Kind::Token => b't',
        };
        let length = u32::try_from(self.issuer.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&[kind], &length[..], self.issuer.as_bytes(), self.id.as_bytes()].concat()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) has written.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Name<'static>> {
        let (kind, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (issuer, id) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let kind = match kind {
            b'c' => Kind::Client,
            b'k' => Kind::Key,
            b's' => Kind::Session,
            b'u' => Kind::Subject,
            b't' => Kind::Token,
            _ => return None,
        };
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(|text| Cow::Owned(text.to_owned()));
        Some(Name { kind, issuer: text(issuer)?, id: text(id)? })
    }

    /// In bytes.
    pub(super) fn len(&self) -> usize {
        self.issuer.len() + self.id.len()
    }
}
