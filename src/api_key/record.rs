//! What is known of a key.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::digest::KeyDigest;
use crate::{
    caller::Confirmation,
    digest::hex,
    error::{ConfigError, ConfigErrorKind},
    request::Network,
    scope::Scopes,
    time::UnixTime,
};

/// Names a key; no secret.
///
/// Ids that this crate makes begin with the time, so that their order is that of creation.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// Reads an id.
    ///
    /// # Errors
    ///
    /// If it is not 1 to 64 ASCII letters, digits, `_`, `-` and `.`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if (1..=64).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.into()))
        } else {
            let message = "a key's id is 1 to 64 ASCII letters, digits, '_', '-' and '.'";
            Err(ConfigError::new(ConfigErrorKind::Key, message))
        }
    }

    /// A new id: five bytes of time and eleven of chance.
    pub(super) fn generate(now: UnixTime) -> Result<Self, ConfigError> {
        let mut bytes = [0; 16];
        bytes[..5].copy_from_slice(&now.as_secs().to_be_bytes()[3..]);
        if getrandom::fill(&mut bytes[5..]).is_err() {
            return Err(ConfigError::new(ConfigErrorKind::Key, "the system's random generator failed"));
        }
        Ok(Self(format!("key_{}", hex(&bytes)).into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// What is known of a key, but not the key.
///
/// Serialised, it leaves its digest out, so that it may be shown; [`export`](super::export) writes the digest too.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Which key.
    pub id: KeyId,
    /// By what it is found.
    #[serde(skip_serializing)]
    pub digest: KeyDigest,
    /// For whom it acts: the principal's subject.
    pub owner: String,
    /// To whom the owner belongs.
    #[serde(default)]
    pub tenant: Option<String>,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// What it may do.
    #[serde(default)]
    pub scopes: Scopes,
    /// Which rate limits apply.
    #[serde(default)]
    pub tier: Option<String>,
    /// Where it may be used from; none means anywhere.
    #[serde(default)]
    pub networks: Vec<Network>,
    /// To whose certificate or key it is bound; none means whoever has it may use it.
    #[serde(default)]
    pub confirmation: Option<Confirmation>,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it ends; it is refused from this second on.
    #[serde(default)]
    pub expires_at: Option<UnixTime>,
    /// When it was revoked.
    #[serde(default)]
    pub revoked_at: Option<UnixTime>,
    /// When it was last let in; written with a delay.
    #[serde(default)]
    pub last_used_at: Option<UnixTime>,
    /// By which key it was replaced, and until when it may still be used.
    #[serde(default)]
    pub replaced: Option<Replacement>,
    /// What the operator attached to it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// By which key a key was replaced.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The new key.
    pub by: KeyId,
    /// From this second on, the old key is refused.
    pub until: UnixTime,
}

impl Replacement {
    /// Replaced by a key; the old one may be used until `until`.
    #[must_use]
    pub const fn new(by: KeyId, until: UnixTime) -> Self {
        Self { by, until }
    }
}

impl KeyRecord {
    /// A record of a key that never expires, may be used from anywhere, and holds no scope.
    #[must_use]
    pub fn new(id: KeyId, digest: KeyDigest, owner: impl Into<String>, created_at: UnixTime) -> Self {
        Self {
            id,
            digest,
            owner: owner.into(),
            tenant: None,
            name: String::new(),
            scopes: Scopes::default(),
            tier: None,
            networks: Vec::new(),
            confirmation: None,
            created_at,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
            replaced: None,
            metadata: BTreeMap::new(),
        }
    }

    /// When the key ends: at its expiry, or when the grace after its replacement is over.
    #[must_use]
    pub fn ends_at(&self) -> Option<UnixTime> {
        let replaced = self.replaced.as_ref().map(|replaced| replaced.until);
        self.expires_at.into_iter().chain(replaced).min()
    }

    /// Refuses a record without an owner, or one that is too large to be cached by the thousand.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let texts = [Some(&self.owner), self.tenant.as_ref(), Some(&self.name), self.tier.as_ref()];
        let scopes: usize = self.scopes.iter().map(|scope| scope.as_str().len()).sum();
        let metadata: usize = self.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.owner.is_empty() {
            Err("a key has an owner")
        } else if texts.into_iter().flatten().any(|text| text.len() > 256) {
            Err("owner, tenant, name and tier of a key have at most 256 bytes each")
        } else if self.scopes.len() > 128 || scopes > 4096 {
            Err("a key has at most 128 scopes, of 4096 bytes together")
        } else if self.metadata.len() > 64 || metadata > 4096 {
            Err("a key has at most 64 members of metadata, of 4096 bytes together")
        } else if self.networks.len() > 64 {
            Err("a key has at most 64 networks")
        } else {
            Ok(())
        }
    }

    /// Whether the key may be used.
    #[must_use]
    pub fn is_active(&self, now: UnixTime) -> bool {
        self.revoked_at.is_none() && self.ends_at().is_none_or(|end| now < end)
    }
}

/// A key to be minted.
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{api_key::NewKey, scope::Scopes};
///
/// let key = NewKey::new("agent-7")
///     .tenant("acme")
///     .name("nightly reconciliation")
///     .scopes(Scopes::parse("billing:read")?)
///     .networks(["10.0.0.0/8".parse()?])
///     .expires_in(Duration::from_secs(30 * 24 * 3600));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NewKey {
    pub(super) owner: String,
    pub(super) tenant: Option<String>,
    pub(super) name: String,
    pub(super) scopes: Scopes,
    pub(super) tier: Option<String>,
    pub(super) networks: Vec<Network>,
    pub(super) confirmation: Option<Confirmation>,
    pub(super) expires_in: Option<Duration>,
    pub(super) not_after: Option<UnixTime>,
    pub(super) metadata: BTreeMap<String, String>,
}

impl NewKey {
    /// A key that never expires, may be used from anywhere, and holds no scope.
    pub fn new(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            tenant: None,
            name: String::new(),
            scopes: Scopes::default(),
            tier: None,
            networks: Vec::new(),
            confirmation: None,
            expires_in: None,
            not_after: None,
            metadata: BTreeMap::new(),
        }
    }

    /// To whom the owner belongs.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// What people call it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What it may do.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Which rate limits apply.
    pub fn tier(mut self, tier: impl Into<String>) -> Self {
        self.tier = Some(tier.into());
        self
    }

    /// Where it may be used from.
    pub fn networks(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.networks = networks.into_iter().collect();
        self
    }

    /// To whose certificate or key it is bound: it is of no use to anybody else.
    pub fn confirmation(mut self, confirmation: Confirmation) -> Self {
        self.confirmation = Some(confirmation);
        self
    }

    /// How long it may be used, counted from when it is minted; a part of a second is dropped.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime);
        self
    }

    /// When it ends at the latest.
    pub fn not_after(mut self, end: UnixTime) -> Self {
        self.not_after = Some(end);
        self
    }

    /// Attaches something to it.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    pub(super) fn record(self, id: KeyId, digest: KeyDigest, now: UnixTime) -> KeyRecord {
        KeyRecord {
            tenant: self.tenant,
            name: self.name,
            scopes: self.scopes,
            tier: self.tier,
            networks: self.networks,
            confirmation: self.confirmation,
            expires_at: self.expires_in.map(|lifetime| now + lifetime).into_iter().chain(self.not_after).min(),
            metadata: self.metadata,
            ..KeyRecord::new(id, digest, self.owner, now)
        }
    }
}
