//! Requests and responses of the routes.

use std::{
    collections::BTreeMap,
    num::{NonZeroU16, NonZeroU64},
    time::Duration,
};

use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};

use super::{error::Failure, rights::Rights};
use crate::{
    api_key::{KeyRecord, KeyUpdate, NewKey},
    caller::{Confirmation, ConfirmationMethod},
    request::Network,
    scope::Scopes,
    time::UnixTime,
};

/// The body of `POST /`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mint {
    name: String,
    owner: String,
    scopes: Scopes,
    tenant: Option<String>,
    tier: Option<String>,
    expires_in: Option<NonZeroU64>,
    #[serde(default)]
    networks: Vec<Network>,
    confirmation: Option<Confirmation>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

impl Mint {
    /// Returns the key, if the caller may mint it.
    pub(super) async fn into_key(self, rights: &Rights<'_>) -> Result<NewKey, Failure> {
        let (tenant, tier, networks) =
            (rights.tenant(self.tenant)?, rights.tier(self.tier), rights.networks(self.networks));
        let confirmation = self.confirmation.map(provable).transpose()?;
        rights.check(&self.scopes, tier.as_deref(), &networks, confirmation.as_ref())?;
        rights.check_owner(&self.owner).await?;
        let mut key = NewKey::new(self.owner).name(self.name).scopes(self.scopes).networks(networks);
        (key.tenant, key.tier, key.confirmation) = (tenant, tier, confirmation);
        key.expires_in = self.expires_in.map(|lifetime| Duration::from_secs(lifetime.get()));
        key.not_after = rights.not_after();
        key.metadata = self.metadata;
        Ok(key)
    }
}

/// The body of `PATCH /{id}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    #[serde(default, deserialize_with = "present")]
    expires_at: Option<Option<UnixTime>>,
    #[serde(default, deserialize_with = "present")]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    networks: Option<Vec<Network>>,
    #[serde(default, deserialize_with = "present")]
    scopes: Option<Scopes>,
    #[serde(default, deserialize_with = "present")]
    tier: Option<Option<String>>,
}

impl Patch {
    /// Returns the update of a key, if the caller may change it so.
    pub(super) fn update(&self, rights: &Rights<'_>, old: &KeyRecord) -> Result<KeyUpdate, Failure> {
        let mut update = KeyUpdate::default();
        update.expires_at = self.expires_at.map(|requested| rights.expiry(old.expires_at, requested));
        update.metadata.clone_from(&self.metadata);
        update.name.clone_from(&self.name);
        update.networks.clone_from(&self.networks);
        update.scopes.clone_from(&self.scopes);
        update.tier.clone_from(&self.tier);
        rights.check_record(old)?;
        let new = update.applied(old)?;
        rights.check_record(&new)?;
        update.expires_at = rights.expiry_after(old, &new).or(update.expires_at);
        Ok(update)
    }
}

/// Reads a member that is present. `null` is a value then, or an error if there is no such value.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The body of `POST /{id}/purge`: an empty object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Purge {}

/// The body of `POST /{id}/rotate`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotate {
    #[serde(default)]
    pub(super) grace: u64,
}

/// The query of `GET /`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    pub(super) after: Option<String>,
    pub(super) limit: Option<NonZeroU16>,
    pub(super) owner: Option<String>,
    pub(super) tenant: Option<String>,
}

/// The query of `DELETE /`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Select {
    pub(super) owner: Option<String>,
    pub(super) tenant: Option<String>,
}

/// The response for a minted key: the record and the secret.
#[derive(Serialize)]
pub(super) struct Minted<'a> {
    #[serde(flatten)]
    pub(super) key: &'a KeyRecord,
    pub(super) secret: &'a str,
}

/// Refuses a key that is bound by a method for which this crate has no proof.
fn provable(confirmation: Confirmation) -> Result<Confirmation, Failure> {
    let known = [ConfirmationMethod::CERTIFICATE, ConfirmationMethod::KEY];
    if confirmation.iter().all(|bound| known.contains(&bound.method)) {
        Ok(confirmation)
    } else {
        let text = "a key is bound to a certificate with `x5t#S256` or to a key with `jkt`";
        Err(Failure::Request(StatusCode::UNPROCESSABLE_ENTITY, text))
    }
}
