use ed25519_dalek::VerifyingKey as Ed25519Key;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::{Verifier as _, hazmat::PrehashVerifier};
use rsa::{BoxedUint, PublicKey, pkcs1v15, pss};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::super::{algorithm::Algorithm, key_material::KeyMaterial};

/// A key that verifies signatures of one algorithm.
pub(in super::super) struct Verifier(Box<dyn Fn(&[u8], &[u8]) -> bool + Send + Sync>);

impl Verifier {
    pub(in super::super) fn new(algorithm: Algorithm, material: &KeyMaterial) -> Option<Self> {
        match material {
            KeyMaterial::Ed25519(key) => {
                let key = Ed25519Key::from_bytes(key.as_slice().try_into().ok()?).ok()?;
                Some(Self::from_fn(move |message, signature| {
                    signature.try_into().is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
                }))
            }
            KeyMaterial::MlDsa(_) => None,
            KeyMaterial::Point(point) => ecdsa(algorithm, point),
            KeyMaterial::Rsa { modulus, exponent } => rsa(algorithm, modulus, exponent),
            KeyMaterial::Secret(secret) => hmac(algorithm, secret),
        }
    }

    pub(in super::super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        (self.0)(message, signature)
    }

    fn from_fn(verifies: impl Fn(&[u8], &[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self(Box::new(verifies))
    }
}

fn ecdsa(algorithm: Algorithm, point: &[u8]) -> Option<Verifier> {
    macro_rules! on {
        ($curve:ident, $hash:ty) => {{
            let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
            Some(Verifier::from_fn(move |message, signature| {
                let signature = $curve::ecdsa::Signature::from_slice(signature);
                signature.is_ok_and(|signature| key.verify_prehash(&<$hash>::digest(message), &signature).is_ok())
            }))
        }};
    }
    match algorithm {
        Algorithm::ES256 => on!(p256, Sha256),
        Algorithm::ES384 => on!(p384, Sha384),
        Algorithm::ES512 => on!(p521, Sha512),
        _ => None,
    }
}

fn rsa(algorithm: Algorithm, modulus: &[u8], exponent: &[u8]) -> Option<Verifier> {
    let number = |bytes: &[u8]| BoxedUint::from_be_slice_vartime(bytes);
    let key = PublicKey::new_with_size_limits(number(modulus), number(exponent), 2048..=8192).ok()?;
    macro_rules! with {
        ($scheme:ident, $hash:ty) => {{
            let key = $scheme::VerifyingKey::<$hash>::new(key);
            Some(Verifier::from_fn(move |message, signature| {
                let signature = $scheme::Signature::try_from(signature);
                signature.is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }))
        }};
    }
    match algorithm {
        Algorithm::PS256 => with!(pss, Sha256),
        Algorithm::PS384 => with!(pss, Sha384),
        Algorithm::PS512 => with!(pss, Sha512),
        Algorithm::RS256 => with!(pkcs1v15, Sha256),
        Algorithm::RS384 => with!(pkcs1v15, Sha384),
        Algorithm::RS512 => with!(pkcs1v15, Sha512),
        _ => None,
    }
}

fn hmac(algorithm: Algorithm, secret: &[u8]) -> Option<Verifier> {
    macro_rules! with {
        ($hash:ty) => {{
            let mac = Hmac::<$hash>::new_from_slice(secret).ok()?;
            // Compares in constant time.
            Some(Verifier::from_fn(move |message, tag| mac.clone().chain_update(message).verify_slice(tag).is_ok()))
        }};
    }
    match algorithm {
        Algorithm::HS256 => with!(Sha256),
        Algorithm::HS384 => with!(Sha384),
        Algorithm::HS512 => with!(Sha512),
        _ => None,
    }
}
