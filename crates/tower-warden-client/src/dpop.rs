use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde_json::json;
use tower_warden::{ConfigError, Digest, UnixTime, jwt::Algorithm};

use crate::{
    TokenError, TokenErrorKind,
    origin::Origin,
    private_key::{PrivateKey, unique_id},
};

/// The key of a client that tokens are bound to, with the nonces of the servers it was used for
/// ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)). Clones are the same key.
///
/// # Examples
///
/// ```
/// use http::{Method, Uri};
/// use tower_warden::UnixTime;
/// use tower_warden_client::DpopKey;
///
/// let key = DpopKey::generate()?;
/// let url = Uri::from_static("https://api.example.com/orders?page=2");
/// let proof = key.proof(&Method::GET, &url, Some("the-token"), UnixTime::now())?;
/// assert!(proof.is_sensitive());
///
/// let relative = Uri::from_static("/orders");
/// assert!(key.proof(&Method::GET, &relative, None, UnixTime::now()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct DpopKey(Arc<Inner>);

struct Inner {
    key: PrivateKey,
    /// RFC 9449 §8.2: the nonces of an authorization server and of each resource server are different ones.
    nonces: Mutex<HashMap<Origin, Box<str>>>,
}

impl DpopKey {
    /// Uses a key of the application, for example one that outlives the process.
    #[must_use]
    pub fn new(key: PrivateKey) -> Self {
        Self(Arc::new(Inner { key, nonces: Mutex::default() }))
    }

    /// Generates a key for ES256. Tokens that are bound to it cannot be used after the process has ended.
    ///
    /// # Errors
    ///
    /// If the system's random generator fails.
    pub fn generate() -> Result<Self, ConfigError> {
        PrivateKey::generate(Algorithm::ES256).map(Self::new)
    }

    /// The thumbprint of the public key ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)): `cnf.jkt` of tokens.
    #[must_use]
    pub fn thumbprint(&self) -> Digest {
        self.0.key.thumbprint()
    }

    /// Signs the value of the field `DPoP` for one request, with the nonce of its origin if there is one.
    ///
    /// # Errors
    ///
    /// If the URL is relative, or if the library fails to sign.
    pub fn proof(
        &self,
        method: &Method,
        url: &Uri,
        token: Option<&str>,
        now: UnixTime,
    ) -> Result<HeaderValue, TokenError> {
        let relative = || TokenError::new(TokenErrorKind::Origin, "a proof names an absolute URL");
        let origin = Origin::of(url).ok_or_else(relative)?;
        // RFC 9449 §4.2: without query and fragment.
        let target = format!("{origin}{}", url.path());
        let mut claims = json!({ "jti": unique_id()?, "htm": method.as_str(), "htu": target, "iat": now.as_secs() });
        if let Some(token) = token {
            claims["ath"] = Digest::of(token.as_bytes()).to_base64url().into();
        }
        if let Some(nonce) = self.nonces().get(&origin) {
            claims["nonce"] = (**nonce).into();
        }
        let header = json!({ "typ": "dpop+jwt", "jwk": self.0.key.required_members() });
        let proof = self.0.key.sign_jwt(header, &claims)?;
        let malformed = |_| TokenError::new(TokenErrorKind::Response, "a proof is visible ASCII");
        let mut value = HeaderValue::from_maybe_shared(Bytes::from(proof.as_bytes().to_vec())).map_err(malformed)?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Keeps the nonce of a response for the next proofs to its origin. Returns whether the response has one.
    pub(crate) fn keep_nonce(&self, origin: &Origin, headers: &HeaderMap) -> bool {
        let nonce = headers.get(NONCE).and_then(|nonce| nonce.to_str().ok());
        let Some(nonce) = nonce.filter(|nonce| is_nonce(nonce)) else { return false };
        let mut nonces = self.nonces();
        if let Some(known) = nonces.get_mut(origin) {
            if **known != *nonce {
                *known = nonce.into();
            }
            return true;
        }
        if nonces.len() >= MAX_ORIGINS {
            nonces.clear();
        }
        nonces.insert(origin.clone(), nonce.into());
        true
    }

    fn nonces(&self) -> MutexGuard<'_, HashMap<Origin, Box<str>>> {
        self.0.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopKey").field("key", &self.0.key).finish_non_exhaustive()
    }
}

/// The field of a proof.
pub(crate) const PROOF: HeaderName = HeaderName::from_static("dpop");

const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The number of origins whose nonces are kept.
const MAX_ORIGINS: usize = 64;

/// RFC 9449 §8.1: `nonce = 1*NQCHAR`.
fn is_nonce(text: &str) -> bool {
    (1..=1024).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}
