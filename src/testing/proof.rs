//! DPoP proofs, RFC 9449.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::{key::SigningKey, token::TokenBuilder};
use crate::{caller::Confirmation, digest::Digest, dpop, time::UnixTime};

impl SigningKey {
    /// The confirmation that binds a token to this key.
    ///
    /// # Panics
    ///
    /// If the key is symmetric, or of a type that DPoP does not support.
    #[must_use]
    pub fn confirmation(&self) -> Confirmation {
        let thumbprint = dpop::thumbprint(&self.jwk().to_string(), self.algorithm());
        Confirmation::key(thumbprint.expect("DPoP supports the type of the key"))
    }

    /// Builds a proof for a request with this token, with a unique id
    /// ([RFC 9449 §4.2](https://www.rfc-editor.org/rfc/rfc9449#section-4.2)).
    ///
    /// `claim("nonce", …)` adds a nonce.
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
