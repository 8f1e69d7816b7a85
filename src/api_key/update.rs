use std::{collections::BTreeMap, sync::Arc};

use super::{
    error::{KeyError, KeyErrorKind},
    record::KeyRecord,
};
use crate::{error::ConfigError, request::Network, scope::Scopes, time::UnixTime};

/// The fields of a key to be changed by [`ApiKeys::update`](super::ApiKeys::update); other fields stay as they are.
///
/// Owner, tenant and binding are not among them: they identify who uses the key, so another one is another key.
///
/// # Examples
///
/// ```
/// use tower_warden::api_key::KeyUpdate;
///
/// let update = KeyUpdate::default().name("nightly").tier("pro").scopes("billing:read").without_expiry();
/// assert_eq!(update.expires_at, Some(None));
/// assert!(update.networks.is_none(), "the networks stay as they are");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
#[non_exhaustive]
pub struct KeyUpdate {
    /// The record for which the update was derived or checked; `None` to change the key as it is.
    pub checked: Option<Arc<KeyRecord>>,
    /// The expiry; `Some(None)` for none.
    pub expires_at: Option<Option<UnixTime>>,
    /// All members of the metadata.
    pub metadata: Option<BTreeMap<String, String>>,
    /// The name for people.
    pub name: Option<String>,
    /// The networks from which the key is accepted; any network if empty.
    pub networks: Option<Vec<Network>>,
    /// The scopes that the key holds.
    pub scopes: Option<Scopes>,
    /// The tier, which selects rate limits; `Some(None)` for none.
    pub tier: Option<Option<String>>,
    /// The error of the scopes, if they are malformed.
    invalid: Option<Arc<ConfigError>>,
}

impl KeyUpdate {
    /// Changes the key only if it is still as it was read: another update in between is a
    /// [`Conflict`](KeyErrorKind::Conflict).
    ///
    /// Two updates that are permitted one by one may not be permitted together: one adds a right to a key that expires, and
    /// the other removes the expiry of a key without that right.
    pub fn checked(mut self, read: Arc<KeyRecord>) -> Self {
        self.checked = Some(read);
        self
    }

    /// Sets the expiry. An expired key is accepted again if it is in the future.
    pub fn expires_at(mut self, end: impl Into<UnixTime>) -> Self {
        self.expires_at = Some(Some(end.into()));
        self
    }

    /// Removes the expiry.
    pub fn without_expiry(mut self) -> Self {
        self.expires_at = Some(None);
        self
    }

    /// Replaces the metadata.
    pub fn metadata(mut self, metadata: BTreeMap<String, String>) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Sets the name for people.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the networks from which the key is accepted; any network if there are none.
    pub fn networks(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.networks = Some(networks.into_iter().collect());
        self
    }

    /// Sets the scopes that the key holds, in any form that [`NewKey::scopes`](super::NewKey::scopes) accepts.
    ///
    /// A text that is not a scope is an error of [`update`](super::ApiKeys::update).
    pub fn scopes(mut self, scopes: impl TryInto<Scopes, Error: Into<ConfigError>>) -> Self {
        match scopes.try_into() {
            Ok(scopes) => self.scopes = Some(scopes),
            Err(error) => self.invalid = Some(Arc::new(error.into())),
        }
        self
    }

    /// Sets the tier, which selects rate limits.
    pub fn tier(mut self, tier: impl Into<String>) -> Self {
        self.tier = Some(Some(tier.into()));
        self
    }

    /// Removes the tier.
    pub fn without_tier(mut self) -> Self {
        self.tier = Some(None);
        self
    }

    /// Returns whether the update may be made while this is the stored record of the key: unless another one has changed it
    /// since it was checked. Last use, revocation and replacement are not compared.
    ///
    /// For stores, which call it in the same atomic step that changes the record.
    #[must_use]
    pub fn is_current(&self, stored: &KeyRecord) -> bool {
        self.checked.as_ref().is_none_or(|read| stored.is_unchanged_since(read))
    }

    /// Refuses an update with malformed scopes, for stores that do not call [`apply_to`](Self::apply_to).
    ///
    /// # Errors
    ///
    /// [`Invalid`](KeyErrorKind::Invalid) if [`scopes`](Self::scopes()) was called with a text that is not a scope.
    pub fn check(&self) -> Result<(), KeyError> {
        let malformed = |error| KeyError::new(KeyErrorKind::Invalid).because(Arc::clone(error));
        self.invalid.as_ref().map_or(Ok(()), |error| Err(malformed(error)))
    }

    /// Changes a record, for stores.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check); the record is not changed then.
    pub fn apply_to(&self, record: &mut KeyRecord) -> Result<(), KeyError> {
        self.check()?;
        record.expires_at = self.expires_at.unwrap_or(record.expires_at);
        if let Some(metadata) = &self.metadata {
            record.metadata.clone_from(metadata);
        }
        if let Some(name) = &self.name {
            record.name.clone_from(name);
        }
        if let Some(networks) = &self.networks {
            record.networks.clone_from(networks);
        }
        if let Some(scopes) = &self.scopes {
            record.scopes.clone_from(scopes);
        }
        if let Some(tier) = &self.tier {
            record.tier.clone_from(tier);
        }
        Ok(())
    }

    /// Returns the changed record, if the update and the record are valid.
    pub(super) fn applied(&self, record: &KeyRecord) -> Result<KeyRecord, KeyError> {
        let mut record = record.clone();
        self.apply_to(&mut record)?;
        record.check().map_err(|error| KeyError::new(KeyErrorKind::Invalid).because(error))?;
        Ok(record)
    }
}
