//! Parses JWKs and JWK sets, RFC 7517.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    MAX_KID_BYTES,
    algorithm::{Algorithm, KeyType},
    key::VerifyingKey,
    key_material::KeyMaterial,
};
use crate::{
    digest::Digest,
    json::{self, Json, Object},
    log,
};
#[cfg(all(feature = "jwks", feature = "signature"))]
use crate::{jwt::key::KeyTimes, time::UnixTime};

/// The maximum number of keys in a set.
const MAX_KEYS: usize = 100;

/// The origin of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// The directory of an agent (Web Bot Auth), from which no secret key is accepted, and whose keys may have times.
    #[cfg(all(feature = "jwks", feature = "signature"))]
    Directory,
    /// The configuration.
    Local,
    /// A URL, or the message that the key has signed: no secret key is accepted from them.
    #[cfg(any(feature = "dpop", feature = "jwks"))]
    Remote,
}

/// A key of a set that is not used.
#[derive(Debug)]
pub(super) struct UnusedKey {
    /// The `kid`, if it is a text; otherwise empty.
    pub(super) kid: Box<str>,
    pub(super) reason: &'static str,
}

impl UnusedKey {
    pub(super) fn new(kid: &str, reason: &'static str) -> Self {
        // It is longer only if it is the reason.
        let kid: String = kid.chars().take(MAX_KID_BYTES).collect();
        Self { kid: kid.into(), reason }
    }

    /// Logs that a key of this server is not used.
    pub(super) fn log(&self, server: &str) {
        let Self { kid, reason } = self;
        log::warning!(issuer = %server, kid = %kid.escape_debug(), reason = %reason, "a key of a JWK set is not used");
    }
}

/// A required member of a key, which is a text.
macro_rules! required {
    ($members:expr, $name:literal) => {
        $members.get($name).and_then(Json::as_str).ok_or(concat!("the key needs the member `", $name, "`, a text"))
    };
}

/// A required member of a key, decoded.
macro_rules! required_bytes {
    ($members:expr, $name:literal) => {
        required!($members, $name).and_then(|text| {
            let refused = concat!("the member `", $name, "` of the key is not base64url without padding");
            URL_SAFE_NO_PAD.decode(text).map_err(|_| refused)
        })
    };
}

/// The keys of a JWK set (RFC 7517 §5), and those that cannot be used.
pub(super) fn read_set(
    text: &[u8],
    origin: Origin,
    rsa: Algorithm,
) -> Result<Vec<Result<VerifyingKey, UnusedKey>>, &'static str> {
    #[derive(Deserialize)]
    struct Set<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }
    let set: Set<'_> = serde_json::from_slice(json::without_byte_order_mark(text))
        .map_err(|_| "a JWK set is a JSON object with the array `keys`")?;
    if set.keys.len() > MAX_KEYS {
        return Err("a JWK set has at most 100 keys");
    }
    let read = |text: &str| {
        let members = parse(text).map_err(|reason| UnusedKey::new("", reason))?;
        let kid = members.get("kid").and_then(Json::as_str).unwrap_or_default();
        read_members(&members, origin, rsa).map_err(|reason| UnusedKey::new(kid, reason))
    };
    Ok(set.keys.iter().map(|key| read(key.get())).collect())
}

/// Parses one key. An RSA key without `alg` is used with `rsa`.
pub(super) fn read(text: &str, origin: Origin, rsa: Algorithm) -> Result<VerifyingKey, &'static str> {
    read_members(&parse(text)?, origin, rsa)
}

/// Parses a public key that was sent with what it signed, for one algorithm.
#[cfg(feature = "dpop")]
pub(crate) fn read_public(text: &str, algorithm: Algorithm) -> Result<VerifyingKey, &'static str> {
    let key = read(text, Origin::Remote, algorithm)?;
    if key.algorithm() == algorithm { Ok(key) } else { Err("the key does not fit the algorithm") }
}

fn parse(text: &str) -> Result<Object<'_>, &'static str> {
    Object::parse(text.as_bytes()).map_err(|_| "a JWK is a JSON object without duplicate members")
}

/// Reads the members that are needed. Others, such as `x5c`, may be malformed.
fn read_members(members: &Object<'_>, origin: Origin, rsa: Algorithm) -> Result<VerifyingKey, &'static str> {
    let kind = required!(members, "kty")?;
    // `k` is the value of a secret key; in all other types each of these is private (RFC 7518 §6, RFC 8037 §2).
    let is_private = |name: &str| matches!(name, "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "priv" | "k");
    let is_secret =
        |(name, value): (&str, &Json<'_>)| is_private(name) && !is_empty(value) && !(kind == "oct" && name == "k");
    if members.iter().any(is_secret) {
        return Err("a private key is not accepted: remove its private members, such as `d`");
    }
    if kind == "oct" && origin != Origin::Local {
        return Err("a secret key (`kty` is `oct`) is not accepted from a URL");
    }
    check_purpose(members)?;
    let named = match present(members, "alg").map(Json::as_str) {
        None => None,
        Some(name) => Some(name.and_then(Algorithm::from_name).ok_or("the `alg` of the key is not supported")?),
    };
    let (algorithm, material) = read_material(kind, members, named, rsa)?;
    let key = VerifyingKey::new(named.unwrap_or(algorithm), &material)?;
    let key = certificates(members).into_iter().fold(key, VerifyingKey::with_certificate_thumbprint);
    let key = match present(members, "issuer").and_then(Json::as_str) {
        Some(issuer) => key.with_issuer(issuer),
        None => key,
    };
    #[cfg(all(feature = "jwks", feature = "signature"))]
    let key = if origin == Origin::Directory { key.with_times(times(members)?) } else { key };
    match members.get("kid").filter(|kid| **kid != Json::Null).map(Json::as_str) {
        None => Ok(key),
        Some(None) => Err("the member `kid` of the key is not a text"),
        Some(Some(id)) if id.len() > MAX_KID_BYTES => Err("a `kid` has at most 256 bytes"),
        Some(Some(id)) => Ok(key.with_kid(id)),
    }
}

/// A member that is there and not empty. Some issuers write empty lists and texts, or null, for what a key does not have.
fn present<'a>(members: &'a Object<'_>, name: &str) -> Option<&'a Json<'a>> {
    members.get(name).filter(|value| !is_empty(value))
}

fn is_empty(value: &Json<'_>) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        Json::String(text) => text.is_empty(),
        Json::Bool(_) | Json::Number(_) | Json::Object(_) => false,
    }
}

/// RFC 7517 §4.2 and §4.3.
fn check_purpose(members: &Object<'_>) -> Result<(), &'static str> {
    // SPIFFE Trust Domain and Bundle §4.2.2: `jwt-svid` is for keys of JWT-SVIDs; those with `x509-svid` are not.
    if present(members, "use").is_some_and(|usage| !matches!(usage.as_str(), Some("jwt-svid" | "sig"))) {
        return Err("the member `use` of the key does not permit verification");
    }
    let permits = |operations: &Json<'_>| {
        operations.as_array().is_some_and(|list| list.iter().any(|operation| operation.as_str() == Some("verify")))
    };
    if present(members, "key_ops").is_some_and(|operations| !permits(operations)) {
        return Err("the member `key_ops` of the key does not permit verification");
    }
    Ok(())
}

/// The thumbprints of the key's certificate: `x5t` and `x5t#S256` (RFC 7517 §4.8 and §4.9), and that of the first one in `x5c`.
fn certificates(members: &Object<'_>) -> Vec<Box<str>> {
    let texts = ["x5t", "x5t#S256"].into_iter().filter_map(|name| members.get(name).and_then(Json::as_str));
    let mut found: Vec<Box<str>> = texts.filter(|text| !text.is_empty()).map(Into::into).collect();
    let first = members.get("x5c").and_then(Json::as_array).and_then(<[_]>::first).and_then(Json::as_str);
    if let Some(der) = first.and_then(|text| STANDARD.decode(text).ok()) {
        let thumbprint = Digest::of(&der).to_base64url();
        if !found.iter().any(|known| **known == *thumbprint) {
            found.push(thumbprint.into());
        }
    }
    found
}

/// The times of a key in the directory of an agent: `nbf` and `exp` in seconds, as in the example of the draft, or in
/// milliseconds, as in that of Cloudflare.
#[cfg(all(feature = "jwks", feature = "signature"))]
fn times(members: &Object<'_>) -> Result<KeyTimes, &'static str> {
    /// The year 5138, in seconds.
    const MILLISECONDS: u64 = 100_000_000_000;
    let time = |name: &str| match members.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Number(number)) => {
            let number = number.as_u64().ok_or("`nbf` and `exp` of a key are whole numbers")?;
            Ok(Some(UnixTime::from_secs(if number < MILLISECONDS { number } else { number / 1_000 })))
        }
        Some(_) => Err("`nbf` and `exp` of a key are whole numbers"),
    };
    Ok(KeyTimes { not_before: time("nbf")?, expires: time("exp")? })
}

/// The key material, and the algorithm that the key is used with if it has no `alg`.
fn read_material(
    kind: &str,
    members: &Object<'_>,
    named: Option<Algorithm>,
    rsa: Algorithm,
) -> Result<(Algorithm, KeyMaterial), &'static str> {
    match kind {
        "AKP" => {
            let algorithm = named.ok_or("a key of type AKP needs `alg`")?;
            Ok((algorithm, KeyMaterial::MlDsa(required_bytes!(members, "pub")?)))
        }
        "EC" => {
            const CURVE: &str = "the `crv` of the key is not supported: P-256, P-384, P-521 and Ed25519 are";
            let curve = required!(members, "crv")?;
            let algorithms = [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512].into_iter();
            let mut sizes = algorithms.filter_map(|algorithm| match algorithm.key_type() {
                KeyType::Ec(name, size) if name == curve => Some((algorithm, size)),
                _ => None,
            });
            let (algorithm, size) = sizes.next().ok_or(CURVE)?;
            let (x, y) = (required_bytes!(members, "x")?, required_bytes!(members, "y")?);
            // RFC 7518 §6.2.1.2: a coordinate always has the full length.
            if x.len() != size || y.len() != size {
                return Err("the members `x` and `y` of the key have the length of its curve");
            }
            Ok((algorithm, KeyMaterial::Point([vec![4], x, y].concat())))
        }
        "OKP" if required!(members, "crv")? == "Ed25519" => {
            Ok((Algorithm::EdDSA, KeyMaterial::Ed25519(required_bytes!(members, "x")?)))
        }
        "OKP" => Err("the `crv` of the key is not supported: P-256, P-384, P-521 and Ed25519 are"),
        "RSA" => {
            let (modulus, exponent) = (required_bytes!(members, "n")?, required_bytes!(members, "e")?);
            Ok((rsa, KeyMaterial::rsa(&modulus, &exponent)))
        }
        "oct" => {
            let algorithm = named.ok_or("a secret key needs `alg`")?;
            Ok((algorithm, KeyMaterial::Secret(required_bytes!(members, "k")?.into())))
        }
        _ => Err("the `kty` of the key is not supported"),
    }
}
