use std::sync::Arc;

use tower_warden::{
    ConfigError,
    api_key::{KeyDigest, KeyFormat},
    jwt::{Algorithm, KeySource, StaticKeys, VerifyingKey},
};

use crate::{ClientSecrets, SigningKey};

/// The credentials of no client, which are verified in the place of those that a client does not have: a response to an
/// unknown client takes as long as one to a known client with a wrong credential.
pub(crate) struct Decoy {
    pub(crate) keys: Arc<dyn KeySource>,
    pub(crate) secrets: ClientSecrets,
}

impl Decoy {
    pub(super) fn generate() -> Result<Self, ConfigError> {
        let secret = KeyFormat::new("decoy")?.generate()?;
        let keys = [Algorithm::ES256, Algorithm::EdDSA].map(|algorithm| {
            let jwk = SigningKey::generate(algorithm)?.public_jwk();
            // Without a `kid`, so that it is used for any.
            let mut jwk: serde_json::Value = serde_json::from_str(&jwk).expect("the JSON of this crate");
            jwk.as_object_mut().expect("a JWK is an object").remove("kid");
            VerifyingKey::from_jwk(&jwk.to_string())
        });
        let keys = keys.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            keys: Arc::new(StaticKeys::new(keys)?),
            secrets: ClientSecrets::new(KeyDigest::sha256(secret.expose())),
        })
    }
}
