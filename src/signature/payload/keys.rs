//! Lists of keys.

use std::sync::Arc;

use super::{
    key::PayloadKey,
    scheme::{Format, PayloadScheme, refused},
    template::Separation,
};
use crate::error::ConfigError;

/// The largest number of keys of a scheme: each costs a verification.
const MAX_KEYS: usize = 16;

impl PayloadScheme {
    /// Refuses a list of keys that is empty, or has one that the scheme does not use.
    pub(in crate::signature) fn check_keys(
        &self,
        keys: impl IntoIterator<Item = PayloadKey>,
    ) -> Result<Arc<[PayloadKey]>, ConfigError> {
        let keys: Arc<[_]> = keys.into_iter().take(MAX_KEYS + 1).collect();
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return Err(refused("a signature is verified with 1 to 16 keys"));
        }
        keys.iter().try_for_each(|key| self.check_key(key))?;
        Ok(keys)
    }

    pub(super) fn check_key(&self, key: &PayloadKey) -> Result<(), ConfigError> {
        // Everybody knows the text of the public key.
        if matches!(self.template.separation(), Separation::Body) && !key.is_public() {
            return Err(refused("signatures of Discord are verified with its public key: see `PayloadKey::discord`"));
        }
        match self.format {
            Format::List if key.is_prefixed() => Err(refused(
                "a secret of Standard Webhooks is decoded: `PayloadKey::standard_webhooks` reads `whsec_<base64>`",
            )),
            Format::Pairs(_) if key.is_decoded() => Err(refused(
                "a secret of Stripe is used as it is written, with `whsec_`, as one of Paddle: `PayloadKey::secret` takes \
                 its bytes",
            )),
            Format::Pairs(_) if key.is_public() => {
                Err(refused("signatures of Stripe and Paddle are verified with secrets"))
            }
            Format::List | Format::Pairs(_) | Format::Single { .. } => Ok(()),
        }
    }
}
