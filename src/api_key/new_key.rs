use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    digest::KeyDigest,
    error::{KeyError, KeyErrorKind},
    key_id::KeyId,
    record::KeyRecord,
};
use crate::{caller::Confirmation, error::ConfigError, request::Network, scope::Scopes, time::UnixTime};

/// A key to be minted by [`ApiKeys::mint`](super::ApiKeys::mint).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::api_key::NewKey;
///
/// let key = NewKey::new("agent-7")
///     .tenant("acme")
///     .name("nightly reconciliation")
///     .scopes("billing:read billing:write")
///     .networks(["10.0.0.0/8".parse()?])
///     .expires_in(Duration::from_secs(30 * 24 * 3600));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NewKey {
    owner: String,
    pub(super) tenant: Option<String>,
    name: String,
    /// An invalid set is an error of minting.
    scopes: Result<Scopes, Arc<ConfigError>>,
    pub(super) tier: Option<String>,
    networks: Vec<Network>,
    pub(super) confirmation: Option<Confirmation>,
    pub(super) expires_in: Option<Duration>,
    pub(super) not_after: Option<UnixTime>,
    pub(super) metadata: BTreeMap<String, String>,
}

impl NewKey {
    /// Creates a key that does not expire, is accepted from any network, and holds no scopes.
    pub fn new(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            tenant: None,
            name: String::new(),
            scopes: Ok(Scopes::default()),
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

    /// Sets the scopes that the key holds: [`Scopes`], an array of [`Scope`](crate::scope::Scope)s such as
    /// `[BillingRead::SCOPE]`, an array of texts with one scope each, or a text with scopes that are separated by spaces.
    ///
    /// A text that is not a scope is an error of [`mint`](super::ApiKeys::mint).
    pub fn scopes(mut self, scopes: impl TryInto<Scopes, Error: Into<ConfigError>>) -> Self {
        self.scopes = scopes.try_into().map_err(|error| Arc::new(error.into()));
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
    pub fn not_after(mut self, end: impl Into<UnixTime>) -> Self {
        self.not_after = Some(end.into());
        self
    }

    /// Adds a member of metadata.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Returns the record of the key, if it is valid.
    pub(crate) fn into_record(self, id: KeyId, digest: KeyDigest, now: UnixTime) -> Result<KeyRecord, KeyError> {
        let invalid = || KeyError::new(KeyErrorKind::Invalid);
        let record = KeyRecord {
            tenant: self.tenant,
            name: self.name,
            scopes: self.scopes.map_err(|error| invalid().because(error))?,
            tier: self.tier,
            networks: self.networks,
            confirmation: self.confirmation,
            expires_at: self.expires_in.map(|lifetime| now + lifetime).into_iter().chain(self.not_after).min(),
            metadata: self.metadata,
            ..KeyRecord::new(id, digest, self.owner, now)
        };
        record.check().map_err(|error| invalid().because(error))?;
        Ok(record)
    }
}
