//! Parses JWKs and JWK sets, RFC 7517.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    MAX_KID_BYTES,
    algorithm::{Algorithm, KeyType},
    key::VerifyingKey,
    key_material::KeyMaterial,
};
use crate::json::Object;

/// The maximum number of keys in a set.
const MAX_KEYS: usize = 100;

/// The origin of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// The configuration.
    Local,
    /// A URL, from which no secret key is accepted.
    Remote,
}

/// The keys of a JWK set (RFC 7517 §5); for each that is not used, the reason.
pub(super) fn read_set(
    text: &[u8],
    origin: Origin,
    rsa: Algorithm,
) -> Result<Vec<Result<VerifyingKey, &'static str>>, &'static str> {
    #[derive(Deserialize)]
    struct Set<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }
    let set: Set<'_> = serde_json::from_slice(text).map_err(|_| "a JWK set is a JSON object with the array `keys`")?;
    if set.keys.len() > MAX_KEYS {
        return Err("a JWK set has at most 100 keys");
    }
    Ok(set.keys.iter().map(|key| read(key.get(), origin, rsa)).collect())
}

/// Parses one key. An RSA key without `alg` is used with `rsa`.
pub(super) fn read(text: &str, origin: Origin, rsa: Algorithm) -> Result<VerifyingKey, &'static str> {
    let members = Object::parse(text.as_bytes()).map_err(|_| "a JWK is a JSON object without duplicate members")?;
    let kind = members.get("kty").and_then(|kind| kind.as_str()).ok_or("a JWK needs `kty`")?;
    // `k` is the value of a secret key; in all other types each of these is private (RFC 7518 §6, RFC 8037 §2).
    let is_private = |name| matches!(name, "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "priv" | "k");
    if members.iter().any(|(name, _)| is_private(name) && !(kind == "oct" && name == "k")) {
        return Err("a private key is not accepted: remove its private members");
    }
    if kind == "oct" && origin == Origin::Remote {
        return Err("a secret key is not accepted from a URL");
    }
    let jwk: Jwk = serde_json::from_str(text).map_err(|_| "not a JWK of RFC 7517")?;
    check_purpose(&jwk)?;
    let named = match members.get("alg").map(|name| name.as_str()) {
        None => None,
        Some(name) => Some(name.and_then(Algorithm::from_name).ok_or("the `alg` of the key is not supported")?),
    };
    let (algorithm, material) = read_material(&jwk, &members, named, rsa)?;
    let key = VerifyingKey::new(named.unwrap_or(algorithm), &material)?;
    match jwk.common.key_id {
        Some(id) if id.len() > MAX_KID_BYTES => Err("a `kid` has at most 256 bytes"),
        Some(id) => Ok(key.with_kid(id)),
        None => Ok(key),
    }
}

/// Parses a public key that was sent with what it signed, for one algorithm.
#[cfg(feature = "dpop")]
pub(crate) fn read_public(text: &str, algorithm: Algorithm) -> Result<VerifyingKey, &'static str> {
    let key = read(text, Origin::Remote, algorithm)?;
    if key.algorithm() == algorithm { Ok(key) } else { Err("the key does not fit the algorithm") }
}

/// RFC 7517 §4.2 and §4.3.
fn check_purpose(jwk: &Jwk) -> Result<(), &'static str> {
    let is_for_signatures = match &jwk.common.public_key_use {
        None | Some(PublicKeyUse::Signature) => true,
        // SPIFFE Trust Domain and Bundle §4.2.2: keys of JWT-SVIDs. Those with `x509-svid` are not.
        Some(PublicKeyUse::Other(purpose)) => purpose == "jwt-svid",
        Some(_) => false,
    };
    let operations = jwk.common.key_operations.as_deref();
    if is_for_signatures && operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify)) {
        Ok(())
    } else {
        Err("`use` and `key_ops` of the key do not permit verification")
    }
}

/// The key material, and the algorithm that the key is used with if it has no `alg`.
fn read_material(
    jwk: &Jwk,
    members: &Object<'_>,
    named: Option<Algorithm>,
    rsa: Algorithm,
) -> Result<(Algorithm, KeyMaterial), &'static str> {
    match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) => {
            let algorithm = match key.curve {
                EllipticCurve::P256 => Algorithm::ES256,
                EllipticCurve::P384 => Algorithm::ES384,
                EllipticCurve::P521 => Algorithm::ES512,
                _ => return Err("the curve of the key is not supported: P-256, P-384, P-521 and Ed25519 are"),
            };
            let KeyType::Ec(_, size) = algorithm.key_type() else {
                return Err("the curve of the key is not supported: P-256, P-384, P-521 and Ed25519 are");
            };
            let point = [vec![4], coordinate(&key.x, size)?, coordinate(&key.y, size)?].concat();
            Ok((algorithm, KeyMaterial::Point(point)))
        }
        AlgorithmParameters::OctetKey(key) => {
            let algorithm = named.ok_or("a secret key needs `alg`")?;
            Ok((algorithm, KeyMaterial::Secret(bytes(&key.value)?.into())))
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Ok((Algorithm::EdDSA, KeyMaterial::Ed25519(bytes(&key.x)?)))
        }
        AlgorithmParameters::Other(_) if members.get("kty").and_then(|kind| kind.as_str()) == Some("AKP") => {
            let algorithm = named.ok_or("a key of type AKP needs `alg`")?;
            let public = members.get("pub").and_then(|key| key.as_str()).ok_or("a key of type AKP needs `pub`")?;
            Ok((algorithm, KeyMaterial::MlDsa(bytes(public)?)))
        }
        AlgorithmParameters::RSA(key) => Ok((rsa, KeyMaterial::rsa(&bytes(&key.n)?, &bytes(&key.e)?))),
        _ => Err("the `kty` of the key is not supported"),
    }
}

/// RFC 7518 §6.2.1.2: a coordinate always has the full length.
fn coordinate(text: &str, size: usize) -> Result<Vec<u8>, &'static str> {
    bytes(text)
        .and_then(|bytes| if bytes.len() == size { Ok(bytes) } else { Err("a coordinate has the length of its curve") })
}

fn bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a member of the key is not base64url without padding")
}
