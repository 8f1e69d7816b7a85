//! Proofs that a client holds a key, RFC 9449.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::{key::SigningKey, token::TokenBuilder};
use crate::{caller::Confirmation, digest::Digest, dpop, time::UnixTime};

impl SigningKey {
    /// What tokens that are bound to this key say.
    ///
    /// # Panics
    ///
    /// If it is a secret, or of a kind that DPoP does not know.
    #[must_use]
    pub fn confirmation(&self) -> Confirmation {
        let thumbprint = dpop::thumbprint(&self.jwk().to_string(), self.algorithm());
        Confirmation::key(thumbprint.expect("the key is of a kind that DPoP knows"))
    }

    /// Begins a proof for a request with this token, with an id of its own: RFC 9449 §4.2.
    ///
    /// A nonce is set with `claim("nonce", …)`.
    pub fn proof(&self, method: &str, url: &str, token: &str, now: UnixTime) -> TokenBuilder {
        static PROOFS: AtomicU64 = AtomicU64::new(1);
        let id = format!("proof-{}", PROOFS.fetch_add(1, Ordering::Relaxed));
        let mut jwk = self.jwk();
        if let Value::Object(members) = &mut jwk {
            members.retain(|name, _| !matches!(name.as_str(), "alg" | "kid" | "use"));
        }
        let header = json!({ "typ": "dpop+jwt", "alg": self.algorithm().as_str(), "jwk": jwk });
        let hash = Digest::of(token.as_bytes()).to_base64url();
        let claims = json!({ "jti": id, "htm": method, "htu": url, "iat": now.as_secs(), "ath": hash });
        TokenBuilder::of(header, claims, self.clone())
    }
}
