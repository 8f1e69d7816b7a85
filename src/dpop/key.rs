//! The public key in the header of a proof.

use std::sync::Arc;

use moka::sync::Cache;

use crate::{
    digest::Digest,
    json::{Json, Object},
    jwt::{Algorithm, VerifyingKey, read_public},
};

/// Parsed keys by thumbprint: a client uses the same key for many proofs.
pub(super) type KeyCache = Cache<Digest, Arc<VerifyingKey>>;

/// The maximum number of cached keys.
pub(super) const KEY_CACHE_CAPACITY: u64 = 1_000;

/// A public key, and its thumbprint.
pub(super) struct ProofKey {
    key: Arc<VerifyingKey>,
    pub(super) thumbprint: Digest,
}

impl ProofKey {
    /// Reads a JWK.
    pub(super) fn read(members: &Object<'_>, algorithm: Algorithm, cache: &KeyCache) -> Result<Self, &'static str> {
        // RFC 9449 §4.3 check 7: no private key. RFC 7518 §6, RFC 8037 §2.
        const PRIVATE: [&str; 9] = ["d", "dp", "dq", "k", "oth", "p", "priv", "q", "qi"];
        if members.iter().any(|(name, _)| PRIVATE.contains(&name)) {
            return Err("a private key");
        }
        let named = members.get("alg").map(|name| name.as_str().and_then(Algorithm::from_name));
        if named.is_some_and(|named| named != Some(algorithm)) {
            return Err("a key for another algorithm");
        }
        check_purpose(members)?;
        // The key is parsed from the text that the thumbprint is computed of, so that both are of one key.
        let canonical = canonical(members)?;
        let thumbprint = Digest::of(canonical.as_bytes());
        let key = match cache.get(&thumbprint).filter(|key| key.algorithm() == algorithm) {
            Some(key) => key,
            None => Arc::new(read_public(&canonical, algorithm)?),
        };
        Ok(Self { key, thumbprint })
    }

    /// Verifies a signature. A key that has made a valid one is cached: others could fill the cache with keys at no cost.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8], cache: &KeyCache) -> bool {
        let verifies = self.key.verifies(message, signature);
        if verifies && !cache.contains_key(&self.thumbprint) {
            cache.insert(self.thumbprint, Arc::clone(&self.key));
        }
        verifies
    }
}

/// The thumbprint of a JWK; `None` if it is not a key for proofs.
#[cfg(feature = "testing")]
pub(crate) fn thumbprint(jwk: &str, algorithm: Algorithm) -> Option<Digest> {
    let members = Object::parse(jwk.as_bytes()).ok()?;
    ProofKey::read(&members, algorithm, &KeyCache::new(0)).ok().map(|key| key.thumbprint)
}

/// RFC 7517 §4.2 and §4.3: a key whose purpose is stated is one that verifies signatures. An empty list states none.
fn check_purpose(members: &Object<'_>) -> Result<(), &'static str> {
    let is_for_signatures = members.get("use").is_none_or(|usage| usage.as_str() == Some("sig"));
    let permits = |operations: &[Json<'_>]| {
        let is_text = operations.iter().all(|operation| operation.as_str().is_some());
        let verifies = operations.iter().any(|operation| operation.as_str() == Some("verify"));
        is_text && (verifies || operations.is_empty())
    };
    let is_permitted = members.get("key_ops").is_none_or(|list| list.as_array().is_some_and(permits));
    if is_for_signatures && is_permitted { Ok(()) } else { Err("a key for another purpose") }
}

/// The required members of a JWK in the order of their names, RFC 7638 §3.2 and RFC 8037 §2.
fn canonical(members: &Object<'_>) -> Result<String, &'static str> {
    let names: &[&str] = match members.get("kty").and_then(|kind| kind.as_str()) {
        Some("EC") => &["crv", "kty", "x", "y"],
        Some("OKP") => &["crv", "kty", "x"],
        Some("RSA") => &["e", "kty", "n"],
        _ => return Err("an unsupported key type"),
    };
    let mut text = String::with_capacity(256);
    for name in names {
        let value = members.get(name).and_then(|value| value.as_str()).ok_or("a member is missing")?;
        if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err("not base64url");
        }
        let separator = if text.is_empty() { "{\"" } else { ",\"" };
        text.extend([separator, name, "\":\"", value, "\""]);
    }
    text.push('}');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprints_equal_those_of_the_specifications() {
        let rows: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/vectors/rfc7638/thumbprints.json")).expect("JSON");
        let rows = rows["tests"].as_array().expect("rows");
        for row in rows {
            let text = row["jwk"].to_string();
            let members = Object::parse(text.as_bytes()).expect("an object");
            let algorithm = match row["jwk"]["kty"].as_str() {
                Some("RSA") => Algorithm::RS256,
                Some("OKP") => Algorithm::EdDSA,
                _ => Algorithm::ES256,
            };
            let key = ProofKey::read(&members, algorithm, &KeyCache::new(0)).expect("a key");
            assert_eq!(Some(&*key.thumbprint.to_base64url()), row["thumbprint"].as_str());
        }
        assert_eq!(rows.len(), 3);
    }
}
