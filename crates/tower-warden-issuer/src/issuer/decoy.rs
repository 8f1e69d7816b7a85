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
        // A key of RSA takes long to generate. Nobody has the private key, and no signature of a decoy is accepted.
        let rsa = ["PS256", "RS256"].map(|algorithm| {
            VerifyingKey::from_jwk(&format!(r#"{{"kty":"RSA","alg":"{algorithm}","e":"AQAB","n":"{MODULUS}"}}"#))
        });
        let keys = keys.into_iter().chain(rsa).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            keys: Arc::new(StaticKeys::new(keys)?),
            secrets: ClientSecrets::new(KeyDigest::sha256(secret.expose())),
        })
    }
}

/// The modulus of 2048 bits of a key of RSA that was generated for this.
const MODULUS: &str = "qAArGC0EQrm--0JhovZmqsE-cqxr9uFUuuWPSl9eahQOYqYv_MGRoVyjOtOKMCbm3RCdezPITTibWiUf5pShUyXnn_MKRn6qKmsUMSLikeCP9\
                       lbqN-QAOpp3LyqSiVhMBxJev4hR0bmmyqgbwR_rI0AxYfhe56zng39NzgnDV7I1NEA1dg3mPvxPYpKW3GbliDB6yowM1t6H3NGA16\
                       p7S0mMkcRRjelbusYMwsVzYEhnp6QYUPF7Nkyyb0j-XMmfHmriWhaOKXH3PKPFVwTOCcIzqGNAGzcdGCw0FGNijRvAuPowRkEmVvK\
                       D5PVTCkSx_JhRP6-FR5oX8Agsm-zoTw";

#[cfg(test)]
mod tests {
    use tower_warden::{Eventual, UnixTime, jwt::KeyRequest};

    use super::*;

    #[test]
    fn there_is_a_key_for_each_algorithm_of_the_metadata() {
        let decoy = Decoy::generate().expect("a random generator");
        for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256] {
            let request = KeyRequest::new(Some("any"), algorithm, UnixTime::default());
            assert!(matches!(decoy.keys.find(&request), Eventual::Now(Ok(Some(_)))), "{algorithm}");
        }
    }
}
