use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};

use super::{
    agent_url::WELL_KNOWN, input::MAX_SIGNATURES, key::MessageKey, origin::Origin, policy::refused,
    signer::MessageSigner, signing_error::SigningError,
};
use crate::{
    error::ConfigError,
    jwt::{Algorithm, VerifyingKey},
    time::{Clock, SystemClock},
};

/// The media type of a directory.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/http-message-signatures-directory+json");

/// The time for which a directory may be cached, and its signature is valid.
const LIFETIME: Duration = Duration::from_secs(300);

/// The directory of an agent's public keys, which it publishes at
/// `/.well-known/http-message-signatures-directory` of its own origin (Web Bot Auth).
///
/// Each key signs the response, with the tag `http-message-signatures-directory`, so that nobody publishes the keys of
/// another agent as its own. Register a key before it is used, and remove it after its last signature has expired.
///
/// # Examples
///
/// ```
/// use tower_warden::{jwt::Algorithm, signature::AgentDirectory, testing::SigningKey};
///
/// let key = SigningKey::named_by_thumbprint(Algorithm::EdDSA);
/// let directory = AgentDirectory::new("https://agent.example")?.key(&key.jwk().to_string(), key.clone())?;
/// let response = directory.response()?;
/// assert_eq!(response.headers()["content-type"], "application/http-message-signatures-directory+json");
///
/// let private = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"AAAA"}"#;
/// assert!(AgentDirectory::new("https://agent.example")?.key(private, key).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct AgentDirectory {
    clock: Arc<dyn Clock>,
    keys: Vec<(Box<str>, Arc<dyn MessageKey>)>,
    origin: Origin,
}

impl AgentDirectory {
    /// A directory of this origin, without keys.
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL, or has a path, a query, a fragment or a user name; `http` is accepted for a loopback
    /// host.
    pub fn new(origin: &str) -> Result<Self, ConfigError> {
        Ok(Self { clock: Arc::new(SystemClock), keys: Vec::new(), origin: Origin::parse(origin)? })
    }

    /// Adds a public key as a JWK, and what signs with the key. An RSA key without `alg` is one for PS512, as verifiers read it.
    ///
    /// # Errors
    ///
    /// If there are 8 keys already, each of which signs the directory; if the text is not a public key, if the id of what signs is not its thumbprint
    /// ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)), by which verifiers look for it, or if what it signs does not verify
    /// with the public key.
    pub fn key(mut self, public_jwk: &str, key: impl MessageKey) -> Result<Self, ConfigError> {
        if self.keys.len() == MAX_SIGNATURES {
            return Err(refused("a directory has up to 8 keys"));
        }
        let parsed = VerifyingKey::from_jwk_for(Algorithm::PS512, public_jwk)?;
        let Some(thumbprint) = parsed.thumbprint() else {
            return Err(refused("a directory has public keys only"));
        };
        if key.key_id() != thumbprint.to_base64url() {
            return Err(refused("the id of a key in a directory is its thumbprint").value(key.key_id()));
        }
        let probe = b"tower-warden directory of keys";
        if !key.sign(probe).is_ok_and(|signature| parsed.verifies(probe, &signature)) {
            return Err(
                refused("what signs in a directory is not the private key of the public one").value(key.key_id())
            );
        }
        self.keys.push((public_jwk.into(), Arc::new(key)));
        Ok(self)
    }

    /// Sets the clock: the system clock by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The path of the directory.
    #[must_use]
    pub const fn path() -> &'static str {
        WELL_KNOWN
    }

    /// The response to a request for the directory.
    ///
    /// # Errors
    ///
    /// If a key cannot be used.
    pub fn response(&self) -> Result<Response<Bytes>, SigningError> {
        let keys: Vec<_> = self.keys.iter().map(|(jwk, _)| &**jwk).collect();
        let body = Bytes::from(format!("{{\"keys\":[{}]}}", keys.join(",")));
        let mut response = Response::new(body);
        response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
        let max_age = format!("max-age={}", LIFETIME.as_secs());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::try_from(max_age).expect("visible ASCII"));
        let uri = format!("{}{WELL_KNOWN}", self.origin.as_str());
        let request = Request::get(uri).body(()).map_err(|_| SigningError::of("the origin is not a URI"))?;
        let ((request, ()), (mut parts, body)) = (request.into_parts(), response.into_parts());
        for (index, (_, key)) in self.keys.iter().enumerate() {
            let signer = MessageSigner::new(Arc::clone(key))
                .components(["\"@authority\";req"])
                .and_then(|signer| signer.tag("http-message-signatures-directory"))
                .and_then(|signer| signer.label(&format!("sig{index}")))
                .expect("these are valid");
            signer.expires_after(LIFETIME).sign_response(&mut parts, &body, &request, self.clock.now())?;
        }
        Ok(Response::from_parts(parts, body))
    }
}

/// A router with the directory at its path.
#[cfg(feature = "axum")]
impl From<AgentDirectory> for axum::Router {
    fn from(directory: AgentDirectory) -> Self {
        let handler = move || {
            let response = directory.response().map(|response| response.map(axum::body::Body::from));
            std::future::ready(response.map_err(|error| {
                crate::log::error!(error = %crate::log::Causes(&error), "the directory of keys could not be signed");
                http::StatusCode::INTERNAL_SERVER_ERROR
            }))
        };
        Self::new().route(WELL_KNOWN, axum::routing::get(handler))
    }
}

impl fmt::Debug for AgentDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|(_, key)| key.key_id()).collect();
        f.debug_struct("AgentDirectory").field("origin", &self.origin).field("keys", &ids).finish_non_exhaustive()
    }
}
