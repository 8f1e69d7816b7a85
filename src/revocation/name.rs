//! The names by which credentials are revoked.

use std::borrow::Cow;

use crate::caller::{AuthMethod, Identity};

/// A name by which credentials are revoked: a token id, session, subject or client of an issuer, the id or owner of an API
/// key, the id of a key that signs requests, or a tenant.
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
    Owner,
    Session,
    SignatureKey,
    Subject,
    /// A subject without the API keys of its name.
    SubjectTokens,
    Tenant,
    Token,
}

impl NameKind {
    pub(super) const COUNT: usize = Self::Token as usize + 1;

    /// The kind of the key of a caller: an API key and a key that signs requests may have the same id.
    pub(super) const fn of_key(method: AuthMethod) -> Self {
        if matches!(method, AuthMethod::Signature) { Self::SignatureKey } else { Self::Key }
    }

    /// Names of keys and of tenants have no issuer.
    pub(super) const fn has_issuer(self) -> bool {
        matches!(self, Self::Client | Self::Session | Self::Subject | Self::SubjectTokens | Self::Token)
    }
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
        let of_any_issuer =
            |kind, id: Option<&'a str>| Some(Self { kind, issuer: Cow::Borrowed(""), id: Cow::Borrowed(id?) });
        let key = identity.key_id.as_deref();
        let key_kind = NameKind::of_key(identity.method);
        let owner = key.filter(|_| identity.issuer.is_none()).map(|_| &*identity.subject);
        let names = [
            of_issuer(NameKind::Token, identity.token_id.as_deref()),
            of_issuer(NameKind::Session, identity.session_id.as_deref()),
            of_issuer(NameKind::Subject, Some(&identity.subject)),
            of_issuer(NameKind::SubjectTokens, Some(&identity.subject)),
            of_issuer(NameKind::Client, identity.client_id.as_deref()),
            of_any_issuer(key_kind, key),
            of_any_issuer(NameKind::Owner, owner),
            of_any_issuer(NameKind::Tenant, identity.tenant.as_deref()),
        ];
        names.into_iter().flatten()
    }

    /// The notice of a revocation by this name.
    #[cfg(feature = "audit")]
    pub(super) fn notice(&self, outcome: crate::notice::ChangeOutcome) -> crate::notice::Notice {
        let kind = match self.kind {
            NameKind::Client => "client",
            NameKind::Key => "key",
            NameKind::Owner => "owner",
            NameKind::Session => "session",
            NameKind::SignatureKey => "signature_key",
            NameKind::Subject => "subject",
            NameKind::SubjectTokens => "subject_tokens",
            NameKind::Tenant => "tenant",
            NameKind::Token => "token",
        };
        let issuer = (!self.issuer.is_empty()).then(|| (*self.issuer).into());
        crate::notice::Notice::Revoked { kind, outcome, issuer, name: (*self.id).into() }
    }

    /// Encodes the name unambiguously: kind, length of the issuer, issuer, id.
    ///
    /// The encoding is stable, so that it can be stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let kind = match self.kind {
            NameKind::Client => b'c',
            NameKind::Key => b'k',
            NameKind::Owner => b'o',
            NameKind::Session => b's',
            NameKind::SignatureKey => b'g',
            NameKind::Subject => b'u',
            NameKind::SubjectTokens => b'v',
            NameKind::Tenant => b'n',
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
            b'g' => NameKind::SignatureKey,
            b'k' => NameKind::Key,
            b'n' => NameKind::Tenant,
            b'o' => NameKind::Owner,
            b's' => NameKind::Session,
            b'u' => NameKind::Subject,
            b't' => NameKind::Token,
            b'v' => NameKind::SubjectTokens,
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

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The name of API keys whose owner is the subject of this name.
    pub(super) fn as_owner(&self) -> Option<RevocationName<'_>> {
        (self.kind == NameKind::Subject).then(|| RevocationName {
            kind: NameKind::Owner,
            issuer: Cow::Borrowed(""),
            id: Cow::Borrowed(&self.id),
        })
    }

    pub(super) const fn of_subject(issuer: &'a str, subject: &'a str) -> Self {
        Self { kind: NameKind::Subject, issuer: Cow::Borrowed(issuer), id: Cow::Borrowed(subject) }
    }

    /// The same name, borrowed.
    pub(super) fn borrowed(&self) -> RevocationName<'_> {
        RevocationName { kind: self.kind, issuer: Cow::Borrowed(&self.issuer), id: Cow::Borrowed(&self.id) }
    }

    pub(super) fn owned(kind: NameKind, issuer: impl Into<String>, id: impl Into<String>) -> RevocationName<'static> {
        RevocationName { kind, issuer: Cow::Owned(issuer.into()), id: Cow::Owned(id.into()) }
    }
}
