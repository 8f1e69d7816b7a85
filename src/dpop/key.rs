//! The key in a proof's header.

use crate::{
    digest::Digest,
    json::Object,
    jwt::{Algorithm, VerifyingKey, read_public},
};

/// A public key, and its thumbprint.
pub(super) struct ProofKey {
    key: VerifyingKey,
    pub(super) thumbprint: Digest,
}

impl ProofKey {
    /// Reads a JWK.
    pub(super) fn read(members: &Object<'_>, algorithm: Algorithm) -> Result<Self, &'static str> {
        // RFC 9449 §4.3 check 7: no private key. RFC 7518 §6, RFC 8037 §2.
        const PRIVATE: [&str; 9] = ["d", "dp", "dq", "k", "oth", "p", "priv", "q", "qi"];
        if members.iter().any(|(name, _)| PRIVATE.contains(&name)) {
            return Err("a private key");
        }
        let named = members.get("alg").map(|name| name.as_str().and_then(Algorithm::from_name));
        if named.is_some_and(|named| named != Some(algorithm)) {
            return Err("a key for another algorithm");
        }
        // What is verified with is read from what the thumbprint is made of, so that they cannot be two keys.
        let canonical = canonical(members)?;
        let key = read_public(&canonical, algorithm)?;
        Ok(Self { key, thumbprint: Digest::of(canonical.as_bytes()) })
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verifies(message, signature)
    }
}

/// The thumbprint of a JWK; `None` if no proof could be made with it.
#[cfg(feature = "testing")]
pub(crate) fn thumbprint(jwk: &str, algorithm: Algorithm) -> Option<Digest> {
    let members = Object::parse(jwk.as_bytes()).ok()?;
    ProofKey::read(&members, algorithm).ok().map(|key| key.thumbprint)
}

/// RFC 7638 §3.2 and RFC 8037 §2: the members that make the key, in the order of their names.
fn canonical(members: &Object<'_>) -> Result<String, &'static str> {
    let names: &[&str] = match members.get("kty").and_then(|kind| kind.as_str()) {
        Some("EC") => &["crv", "kty", "x", "y"],
        Some("OKP") => &["crv", "kty", "x"],
        Some("RSA") => &["e", "kty", "n"],
        _ => return Err("a kind that is not understood"),
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
    fn the_thumbprints_of_the_specifications_are_right() {
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
            let key = ProofKey::read(&members, algorithm).expect("a key");
            assert_eq!(Some(&*key.thumbprint.to_base64url()), row["thumbprint"].as_str());
        }
        assert_eq!(rows.len(), 3);
    }
}
