//! Client certificates as a method of authentication, RFC 8705 §2.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use tower_warden::{
    ConfigError, Digest,
    certificate::{ChainStatus, PeerCertificate},
};

use super::ClientAuthentication;

impl ClientAuthentication {
    /// `self_signed_tls_client_auth` with the certificates of a JWK set: the first one of each `x5c`
    /// ([RFC 7517 §4.7](https://www.rfc-editor.org/rfc/rfc7517#section-4.7)). Keys without one are ignored.
    ///
    /// # Errors
    ///
    /// If the text is not a JWK set, an `x5c` does not begin with a certificate, or there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden_issuer::ClientAuthentication;
    ///
    /// # let leaf = include_str!("../../../../tests/vectors/rfc9440/leaf.der.base64").trim();
    /// // `leaf` is a certificate in DER and base64.
    /// let set = format!(r#"{{"keys":[{{"kty":"EC","x5c":["{leaf}"]}}]}}"#);
    /// let method = ClientAuthentication::self_signed_tls(&set)?;
    /// assert!(matches!(method, ClientAuthentication::SelfSignedTls(thumbprints) if thumbprints.len() == 1));
    ///
    /// assert!(ClientAuthentication::self_signed_tls(r#"{"keys":[]}"#).is_err());
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    pub fn self_signed_tls(jwk_set: &str) -> Result<Self, ConfigError> {
        let refused =
            || ConfigError::custom("a JWK set with certificates has keys whose `x5c` begins with one in base64");
        let set: JwkSet = serde_json::from_str(jwk_set).map_err(|_| refused())?;
        let leaves = set.keys.iter().filter_map(|key| key.x5c.as_ref());
        let thumbprints = leaves.map(|chain| thumbprint(chain.first()?)).collect::<Option<Vec<_>>>();
        thumbprints.filter(|found| !found.is_empty()).map(Self::SelfSignedTls).ok_or_else(refused)
    }
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    x5c: Option<Vec<String>>,
}

fn thumbprint(certificate: &str) -> Option<Digest> {
    let der = BASE64_STANDARD.decode(certificate).ok()?;
    PeerCertificate::from_der(&der, ChainStatus::Unverified).ok().map(|certificate| *certificate.thumbprint())
}
