use std::{fmt, sync::Arc};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::scheme::refused;
use crate::{
    digest::Digest,
    error::ConfigError,
    jwt::{Algorithm, VerifyingKey},
};

/// The shortest secret, in bytes.
const MIN_SECRET: usize = 16;

/// A key that verifies signatures: a secret that both sides have, or the public key of the sender.
///
/// Clones share the key. Its [`Debug`](fmt::Debug) prints nothing of it.
///
/// # Examples
///
/// ```
/// use tower_warden::signature::payload::PayloadKey;
///
/// // The secret of Standard Webhooks is decoded; that of Stripe is used as it is written.
/// let standard = PayloadKey::standard_webhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
/// let stripe = PayloadKey::secret(b"whsec_5d1f0e2c8a7b4936")?;
/// assert_eq!(format!("{standard:?}"), "PayloadKey::Secret(..)");
///
/// assert!(PayloadKey::secret(b"hunter2").is_err(), "too short");
/// assert!(PayloadKey::standard_webhooks("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_err(), "a private key");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct PayloadKey(Arc<Material>);

enum Material {
    Public(Arc<VerifyingKey>),
    /// The state of HMAC after the secret was read.
    Secret {
        state: Hmac<Sha256>,
        form: SecretForm,
    },
}

/// The form in which a secret was passed in, by which a mistake is found at start.
#[derive(Clone, Copy, Eq, PartialEq)]
enum SecretForm {
    /// Decoded from `whsec_<base64>`.
    Decoded,
    /// Any bytes.
    Plain,
    /// Bytes that begin with `whsec_`.
    Prefixed,
}

impl PayloadKey {
    /// A secret, whose bytes are the key of HMAC-SHA-256.
    ///
    /// # Errors
    ///
    /// If it has fewer than 16 bytes.
    pub fn secret(secret: &[u8]) -> Result<Self, ConfigError> {
        let form = if secret.starts_with(b"whsec_") { SecretForm::Prefixed } else { SecretForm::Plain };
        Self::hmac(secret, form)
    }

    /// A key in the form of Standard Webhooks: `whsec_<base64>`, a secret of 24 to 64 bytes, or `whpk_<base64>`, the public
    /// Ed25519 key of the sender.
    ///
    /// # Errors
    ///
    /// If the text is not one of these.
    pub fn standard_webhooks(text: &str) -> Result<Self, ConfigError> {
        let malformed =
            || refused("a key of Standard Webhooks is `whsec_<base64>` of 24 to 64 bytes, or `whpk_<base64>`");
        let decode = |text: &str| BASE64_STANDARD.decode(text).map(Zeroizing::new).map_err(|_| malformed());
        if let Some(secret) = text.strip_prefix("whsec_") {
            let secret = decode(secret)?;
            return if (24..=64).contains(&secret.len()) {
                Self::hmac(&secret, SecretForm::Decoded)
            } else {
                Err(malformed())
            };
        }
        let public = decode(text.strip_prefix("whpk_").ok_or_else(malformed)?)?;
        if public.len() == 32 { Self::public(&public) } else { Err(malformed()) }
    }

    /// The public key of an application of Discord, as its settings show it: 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// If the text is not one.
    pub fn discord(text: &str) -> Result<Self, ConfigError> {
        let public = Digest::from_hex(text);
        let public = public.ok_or_else(|| refused("a public key of Discord is 64 hexadecimal digits"))?;
        Self::public(public.as_bytes())
    }

    /// The public Ed25519 key of the sender.
    ///
    /// # Errors
    ///
    /// If it is a key for another algorithm.
    pub fn ed25519(key: impl Into<Arc<VerifyingKey>>) -> Result<Self, ConfigError> {
        let key = key.into();
        if key.algorithm() != Algorithm::EdDSA {
            return Err(refused("a public key of a payload signature is one of EdDSA").value(key.algorithm()));
        }
        Ok(Self(Arc::new(Material::Public(key))))
    }

    fn public(bytes: &[u8]) -> Result<Self, ConfigError> {
        let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, BASE64_URL_SAFE_NO_PAD.encode(bytes));
        Self::ed25519(VerifyingKey::from_jwk(&jwk)?)
    }

    fn hmac(secret: &[u8], form: SecretForm) -> Result<Self, ConfigError> {
        if secret.len() < MIN_SECRET {
            return Err(refused("the secret of a payload signature has at least 16 bytes"));
        }
        let state = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        Ok(Self(Arc::new(Material::Secret { state, form })))
    }

    /// A digest that identifies the key, and does not disclose a random secret: the SHA-256 thumbprint of a public key
    /// ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)), and the HMAC of a fixed text under a secret.
    #[must_use]
    pub fn thumbprint(&self) -> Digest {
        match &*self.0 {
            Material::Public(key) => *key.thumbprint().expect("a public key has a thumbprint"),
            Material::Secret { state, .. } => finish(state.clone().chain_update(b"tower-warden payload key v1")),
        }
    }
}

impl PayloadKey {
    /// The HMAC of a message in two parts; `None` for a public key.
    pub(super) fn tag(&self, covered: &[u8], body: &[u8]) -> Option<Digest> {
        match &*self.0 {
            Material::Public(_) => None,
            Material::Secret { state, .. } => Some(finish(state.clone().chain_update(covered).chain_update(body))),
        }
    }

    /// Returns whether the signature is one by this public key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &*self.0 {
            Material::Public(key) => key.verifies(message, signature),
            Material::Secret { .. } => false,
        }
    }

    /// Returns whether the key is a secret that was decoded.
    pub(super) fn is_decoded(&self) -> bool {
        matches!(&*self.0, Material::Secret { form: SecretForm::Decoded, .. })
    }

    /// Returns whether the key is a secret that seems to need decoding.
    pub(super) fn is_prefixed(&self) -> bool {
        matches!(&*self.0, Material::Secret { form: SecretForm::Prefixed, .. })
    }

    pub(super) fn is_public(&self) -> bool {
        matches!(&*self.0, Material::Public(_))
    }
}

impl fmt::Debug for PayloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.0 {
            Material::Public(_) => "PayloadKey::Public(..)",
            Material::Secret { .. } => "PayloadKey::Secret(..)",
        })
    }
}

fn finish(mac: Hmac<Sha256>) -> Digest {
    Digest::from_bytes(mac.finalize().into_bytes().into())
}
