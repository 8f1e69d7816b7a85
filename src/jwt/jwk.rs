//! JWKs, RFC 7517: which of them become keys.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    LONGEST_KEY_ID,
    algorithm::{Algorithm, Family},
    key::VerifyingKey,
    material::Material,
};
use crate::json::Object;

/// More keys than that are no set.
const MOST_KEYS: usize = 100;

/// Where a key comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// The user of this crate.
    Local,
    /// A URL: what is secret must not come from there.
    Remote,
}

/// The keys of a JWK set, RFC 7517 §5, each with what it is, or why it is not used.
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
    let set: Set<'_> = serde_json::from_slice(text).map_err(|_| "not a JWK set")?;
    if set.keys.len() > MOST_KEYS {
        return Err("a JWK set of more than 100 keys");
    }
    Ok(set.keys.iter().map(|key| read(key.get(), origin, rsa)).collect())
}

/// One key; an RSA key that names no algorithm is used with `rsa`.
pub(super) fn read(text: &str, origin: Origin, rsa: Algorithm) -> Result<VerifyingKey, &'static str> {
    let members = Object::parse(text.as_bytes()).map_err(|_| "not a JSON object, or a member stands twice")?;
    let kind = members.get("kty").and_then(|kind| kind.as_str()).ok_or("no kty")?;
    // `k` is what a secret is; in all others each of these is private (RFC 7518 §6, RFC 8037 §2).
    let is_private = |name| matches!(name, "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "priv" | "k");
    if members.iter().any(|(name, _)| is_private(name) && !(kind == "oct" && name == "k")) {
        return Err("a private key");
    }
    if kind == "oct" && origin == Origin::Remote {
        return Err("a secret from a URL");
    }
    let jwk: Jwk = serde_json::from_str(text).map_err(|_| "not a JWK")?;
    check_purpose(&jwk)?;
    let named = match members.get("alg").map(|name| name.as_str()) {
        None => None,
        Some(name) => Some(name.and_then(Algorithm::from_name).ok_or("an algorithm that is not understood")?),
    };
    let (algorithm, material) = read_material(&jwk, &members, named, rsa)?;
    let key = VerifyingKey::new(named.unwrap_or(algorithm), &material)?;
    match jwk.common.key_id {
        Some(id) if id.len() > LONGEST_KEY_ID => Err("a kid that is too long"),
        Some(id) => Ok(key.id(id)),
        None => Ok(key),
    }
}

/// A public key that came along with what it signed, for one algorithm.
#[cfg(feature = "dpop")]
pub(crate) fn read_public(text: &str, algorithm: Algorithm) -> Result<VerifyingKey, &'static str> {
    let key = read(text, Origin::Remote, algorithm)?;
    if key.algorithm() == algorithm { Ok(key) } else { Err("the key does not fit the algorithm") }
}

/// RFC 7517 §4.2 and §4.3.
fn check_purpose(jwk: &Jwk) -> Result<(), &'static str> {
    let is_for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let operations = jwk.common.key_operations.as_deref();
    if is_for_signatures && operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify)) {
        Ok(())
    } else {
        Err("not meant for verification")
    }
}

/// What the key is made of, and the algorithm that it is used with if it names none.
fn read_material(
    jwk: &Jwk,
    members: &Object<'_>,
    named: Option<Algorithm>,
    rsa: Algorithm,
) -> Result<(Algorithm, Material), &'static str> {
    match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) => {
            let algorithm = match key.curve {
                EllipticCurve::P256 => Algorithm::ES256,
                EllipticCurve::P384 => Algorithm::ES384,
                EllipticCurve::P521 => Algorithm::ES512,
                _ => return Err("a curve that is not understood"),
            };
            let Family::Ec(_, size) = algorithm.family() else { return Err("a curve that is not understood") };
            let point = [vec![4], coordinate(&key.x, size)?, coordinate(&key.y, size)?].concat();
            Ok((algorithm, Material::Point(point)))
        }
        AlgorithmParameters::OctetKey(key) => {
            let algorithm = named.ok_or("a secret without alg")?;
            Ok((algorithm, Material::Secret(bytes(&key.value)?.into())))
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Ok((Algorithm::EdDSA, Material::Ed25519(bytes(&key.x)?)))
        }
        AlgorithmParameters::Other(_) if members.get("kty").and_then(|kind| kind.as_str()) == Some("AKP") => {
            let algorithm = named.ok_or("a key of kind AKP without alg")?;
            let public = members.get("pub").and_then(|key| key.as_str()).ok_or("a key of kind AKP without pub")?;
            Ok((algorithm, Material::MlDsa(bytes(public)?)))
        }
        AlgorithmParameters::RSA(key) => Ok((rsa, Material::rsa(&bytes(&key.n)?, &bytes(&key.e)?))),
        _ => Err("a kind that is not understood"),
    }
}

/// RFC 7518 §6.2.1.2: always of full length.
fn coordinate(text: &str, size: usize) -> Result<Vec<u8>, &'static str> {
    bytes(text).and_then(|bytes| if bytes.len() == size { Ok(bytes) } else { Err("a coordinate of wrong length") })
}

fn bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "not base64url")
}
