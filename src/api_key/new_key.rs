use std::{collections::BTreeMap, time::Duration};

use super::{digest::KeyDigest, key_id::KeyId, record::KeyRecord};
use crate::{caller::Confirmation, request::Network, scope::Scopes, time::UnixTime};

/// A key to be minted by [`ApiKeys::mint`](super::ApiKeys::mint).
///
/// # Examples
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
    owner: String,
    tenant: Option<String>,
    name: String,
    scopes: Scopes,
    tier: Option<String>,
    networks: Vec<Network>,
    confirmation: Option<Confirmation>,
    expires_in: Option<Duration>,
    not_after: Option<UnixTime>,
    metadata: BTreeMap<String, String>,
}

impl NewKey {
    /// Creates a key that does not expire, is accepted from any network, and holds no scopes.
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

    /// Sets the tenant of the owner.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Sets a name for people.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the scopes that the key holds.
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Sets the tier, which selects rate limits.
    pub fn tier(mut self, tier: impl Into<String>) -> Self {
        self.tier = Some(tier.into());
        self
    }

    /// Sets the networks from which the key is accepted.
    pub fn networks(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.networks = networks.into_iter().collect();
        self
    }

    /// Binds the key to a certificate or key of the client, without which it is refused.
    pub fn confirmation(mut self, confirmation: Confirmation) -> Self {
        self.confirmation = Some(confirmation);
        self
    }

    /// Sets the lifetime, which begins when the key is minted; a fraction of a second is dropped.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expires_in = Some(lifetime);
        self
    }

    /// Sets the latest expiry.
    pub fn not_after(mut self, end: UnixTime) -> Self {
        self.not_after = Some(end);
        self
    }

    /// Adds a member of metadata.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    pub(super) fn into_record(self, id: KeyId, digest: KeyDigest, now: UnixTime) -> KeyRecord {
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
