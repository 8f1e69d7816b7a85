use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{digest::KeyDigest, key_id::KeyId};
use crate::{
    caller::Confirmation,
    error::{ConfigError, ConfigErrorKind},
    request::Network,
    scope::Scopes,
    time::UnixTime,
};

/// The record of a key in a [`KeyStore`](super::KeyStore), with the key's digest in place of the key.
///
/// Its `Serialize` leaves out the digest, so that the record can be shown; [`export`](super::export) writes the digest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// The id of the key.
    pub id: KeyId,
    /// The digest by which the key is found.
    #[serde(skip_serializing)]
    pub digest: KeyDigest,
    /// The owner of the key: the subject of the principal.
    pub owner: String,
    /// The tenant of the owner.
    #[serde(default)]
    pub tenant: Option<String>,
    /// A name for people; not used in decisions.
    #[serde(default)]
    pub name: String,
    /// The scopes that the key holds.
    #[serde(default)]
    pub scopes: Scopes,
    /// The tier, which selects rate limits.
    #[serde(default)]
    pub tier: Option<String>,
    /// The networks from which the key is accepted; any network if empty.
    #[serde(default)]
    pub networks: Vec<Network>,
    /// The certificate or key of the client that the key is bound to; `None` for a bearer key.
    #[serde(default)]
    pub confirmation: Option<Confirmation>,
    /// The time of creation.
    pub created_at: UnixTime,
    /// The expiry; the key is refused from this second on.
    #[serde(default)]
    pub expires_at: Option<UnixTime>,
    /// The time of the revocation.
    #[serde(default)]
    pub revoked_at: Option<UnixTime>,
    /// The time of the last admitted request; written with a delay.
    #[serde(default)]
    pub last_used_at: Option<UnixTime>,
    /// The key that replaced this one in a rotation.
    #[serde(default)]
    pub replaced: Option<Replacement>,
    /// Custom metadata, available as [`Principal::metadata`](crate::Principal::metadata).
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// The replacement of a key in a rotation.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The new key.
    pub by: KeyId,
    /// The end of the grace period; the old key is refused from this second on.
    pub until: UnixTime,
}

impl Replacement {
    /// Creates the replacement by a key, with a grace period until `until`.
    #[must_use]
    pub const fn new(by: KeyId, until: UnixTime) -> Self {
        Self { by, until }
    }
}

impl KeyRecord {
    /// Creates the record of a key that does not expire, is accepted from any network, and holds no scopes.
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

    /// The time from which the key is refused as expired: its expiry, or the end of the grace period after its
    /// replacement, whichever is earlier.
    #[must_use]
    pub fn valid_until(&self) -> Option<UnixTime> {
        let replaced = self.replaced.as_ref().map(|replaced| replaced.until);
        self.expires_at.into_iter().chain(replaced).min()
    }

    /// The time from which the key is refused: of its revocation, or from which it has expired, whichever is earlier. It may
    /// be in the future.
    #[must_use]
    pub fn inactive_since(&self) -> Option<UnixTime> {
        self.revoked_at.into_iter().chain(self.valid_until()).min()
    }

    /// Returns whether the key is neither revoked nor expired.
    #[must_use]
    pub fn is_active(&self, now: UnixTime) -> bool {
        self.revoked_at.is_none() && self.valid_until().is_none_or(|end| now < end)
    }

    /// Returns whether no update has changed this stored record since it was read. Last use, revocation and replacement
    /// are not compared.
    pub(super) fn is_unchanged_since(&self, read: &Self) -> bool {
        let mut stored = self.clone();
        (stored.last_used_at, stored.revoked_at) = (read.last_used_at, read.revoked_at);
        stored.replaced.clone_from(&read.replaced);
        stored == *read
    }

    /// Refuses a record without an owner, or one that is too large to be cached.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let texts = [Some(&self.owner), self.tenant.as_ref(), Some(&self.name), self.tier.as_ref()];
        let scopes: usize = self.scopes.iter().map(|scope| scope.as_str().len()).sum();
        let metadata: usize = self.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        let refused = |message| Err(ConfigError::new(ConfigErrorKind::Key, message));
        if self.owner.is_empty() {
            refused("the owner of a key is not empty")
        } else if let Some(text) = texts.into_iter().flatten().find(|text| text.len() > 256) {
            refused("owner, tenant, name and tier of a key have at most 256 bytes each")
                .map_err(|error| error.value(text))
        } else if self.scopes.len() > 128 || scopes > 4096 {
            refused("a key has at most 128 scopes with at most 4096 bytes in total")
        } else if self.metadata.len() > 64 || metadata > 4096 {
            refused("a key has at most 64 members of metadata with at most 4096 bytes in total")
        } else if self.networks.len() > 64 {
            refused("a key has at most 64 networks")
        } else {
            Ok(())
        }
    }
}
