use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, header, request::Builder};
use serde_json::json;
use tower_warden::UnixTime;
use zeroize::Zeroizing;

use super::form::{Form, encoded};
use crate::{
    PrivateKeySource, TokenError, TokenErrorKind,
    private_key::{PrivateKey, unique_id},
    secret::{Secret, SecretInput, SecretSource},
};

/// The authentication of a client at the token endpoint.
///
/// A secret or a key can be that of a [`SecretSource`]. If the server refuses its current version with
/// `invalid_client`, and the version before is still [valid](crate::secret::Versioned::previous), the request is sent
/// once more with that one. If the source fails, the last version that was read remains in use.
///
/// # Examples
///
/// ```
/// use tower_warden::jwt::Algorithm;
/// use tower_warden_client::{ClientAuth, PrivateKey, secret::EnvironmentSecrets};
///
/// let basic = ClientAuth::basic("billing", "s3cret");
/// assert_eq!(format!("{basic:?}"), "ClientAuth(basic, \"billing\")");
///
/// let key = PrivateKey::generate(Algorithm::ES256)?.with_kid("2026-11");
/// let jwt = ClientAuth::private_key_jwt("billing", key, "https://auth.example.com");
///
/// // A secret of a source is read for each token, so a rotated one is used without a restart.
/// let rotated = ClientAuth::basic_from("billing", EnvironmentSecrets::new(), "BILLING_SECRET");
///
/// // A public client has no secret, and the certificate of a client is that of its HTTP client.
/// let (public, mtls) = (ClientAuth::none("cli"), ClientAuth::mtls("billing"));
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ClientAuth {
    client_id: Arc<str>,
    method: Method,
}

#[derive(Clone)]
enum Method {
    Basic(SecretInput),
    Mtls,
    None,
    Post(SecretInput),
    PrivateKeyJwt { audience: Arc<str>, key: SigningKey },
}

#[derive(Clone)]
enum SigningKey {
    Fixed(PrivateKey),
    Named(PrivateKeySource),
}

/// The proof of the client's identity in one version.
pub(super) enum Credential {
    Key(PrivateKey),
    None,
    Secret(Arc<Secret>),
}

impl ClientAuth {
    /// `client_secret_basic`: id and secret in the field `Authorization`, form-encoded first
    /// ([RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
    #[must_use]
    pub fn basic(client_id: &str, secret: &str) -> Self {
        Self::of(client_id, Method::Basic(SecretInput::fixed(secret)))
    }

    /// `client_secret_basic` with the secret that this source has by this name.
    #[must_use]
    pub fn basic_from(client_id: &str, source: impl SecretSource, name: impl Into<Box<str>>) -> Self {
        Self::of(client_id, Method::Basic(SecretInput::named(source, name)))
    }

    /// `tls_client_auth`: the certificate that the HTTP client presents
    /// ([RFC 8705 §2](https://www.rfc-editor.org/rfc/rfc8705#section-2)). The request contains the id.
    ///
    /// Pass a [`Fetch`](tower_warden::fetch::Fetch) with the certificate, such as a `reqwest::Client` with
    /// `redirect::Policy::none()`.
    #[must_use]
    pub fn mtls(client_id: &str) -> Self {
        Self::of(client_id, Method::Mtls)
    }

    /// No authentication, for public clients. The request contains the id.
    #[must_use]
    pub fn none(client_id: &str) -> Self {
        Self::of(client_id, Method::None)
    }

    /// `client_secret_post`: id and secret in the body.
    #[must_use]
    pub fn post(client_id: &str, secret: &str) -> Self {
        Self::of(client_id, Method::Post(SecretInput::fixed(secret)))
    }

    /// `client_secret_post` with the secret that this source has by this name.
    #[must_use]
    pub fn post_from(client_id: &str, source: impl SecretSource, name: impl Into<Box<str>>) -> Self {
        Self::of(client_id, Method::Post(SecretInput::named(source, name)))
    }

    /// `private_key_jwt`: a signed assertion ([RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)),
    /// whose only audience is the issuer.
    ///
    /// Older servers accept only the URL of the token endpoint as the audience: pass it as `issuer`.
    #[must_use]
    pub fn private_key_jwt(client_id: &str, key: PrivateKey, issuer: &str) -> Self {
        Self::of(client_id, Method::PrivateKeyJwt { audience: issuer.into(), key: SigningKey::Fixed(key) })
    }

    /// `private_key_jwt` with a key of a secret source.
    #[must_use]
    pub fn private_key_jwt_from(client_id: &str, key: PrivateKeySource, issuer: &str) -> Self {
        Self::of(client_id, Method::PrivateKeyJwt { audience: issuer.into(), key: SigningKey::Named(key) })
    }

    fn of(client_id: &str, method: Method) -> Self {
        Self { client_id: client_id.into(), method }
    }

    /// Returns the current credential, and the one before while it is valid.
    pub(super) async fn credentials(&self, now: UnixTime) -> Result<(Credential, Option<Credential>), TokenError> {
        match &self.method {
            Method::Basic(secret) | Method::Post(secret) => {
                let versions = secret.read().await?;
                let credential = |secret: &Arc<Secret>| Credential::Secret(Arc::clone(secret));
                Ok((credential(versions.current()), versions.previous(now).map(credential)))
            }
            Method::Mtls | Method::None => Ok((Credential::None, None)),
            Method::PrivateKeyJwt { key: SigningKey::Fixed(key), .. } => Ok((Credential::Key(key.clone()), None)),
            Method::PrivateKeyJwt { key: SigningKey::Named(key), .. } => {
                let (current, previous) = key.read(now).await?;
                Ok((Credential::Key(current), previous.map(Credential::Key)))
            }
        }
    }

    /// Adds the authentication to a request.
    pub(super) fn apply(
        &self,
        credential: &Credential,
        request: Builder,
        form: &mut Form,
        now: UnixTime,
    ) -> Result<Builder, TokenError> {
        match (&self.method, credential) {
            (Method::Basic(_), Credential::Secret(secret)) => {
                return Ok(request.header(header::AUTHORIZATION, basic(&self.client_id, secret.expose())?));
            }
            (Method::Post(_), Credential::Secret(secret)) => {
                form.add("client_id", &self.client_id);
                form.add("client_secret", secret.expose());
            }
            (Method::PrivateKeyJwt { audience, .. }, Credential::Key(key)) => {
                form.add("client_id", &self.client_id);
                form.add("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
                form.add("client_assertion", &self.assertion(audience, key, now)?);
            }
            _ => form.add("client_id", &self.client_id),
        }
        Ok(request)
    }

    fn assertion(&self, audience: &str, key: &PrivateKey, now: UnixTime) -> Result<Zeroizing<String>, TokenError> {
        let client = &*self.client_id;
        let claims = json!({
            "iss": client, "sub": client, "aud": audience, "jti": unique_id()?,
            "iat": now.as_secs(), "exp": (now + ASSERTION_LIFETIME).as_secs(),
        });
        // draft-ietf-oauth-rfc7523bis §4: the type prevents that another JWT of the key is used as an assertion.
        key.sign_jwt(json!({ "typ": "client-authentication+jwt" }), &claims)
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.method {
            Method::Basic(_) => "basic",
            Method::Mtls => "mtls",
            Method::None => "none",
            Method::Post(_) => "post",
            Method::PrivateKeyJwt { .. } => "private_key_jwt",
        };
        write!(f, "ClientAuth({method}, {:?})", self.client_id)
    }
}

fn basic(client_id: &str, secret: &str) -> Result<HeaderValue, TokenError> {
    // RFC 6749 §2.3.1: id and secret are form-encoded before they are joined.
    let pair = Zeroizing::new([encoded(client_id).as_str(), ":", encoded(secret).as_str()].concat());
    let value = Zeroizing::new(["Basic ", Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes())).as_str()].concat());
    let malformed = |_| TokenError::new(TokenErrorKind::InvalidClient, "the client credentials cannot be encoded");
    let value = Bytes::from_owner(Zeroizing::new(value.as_bytes().to_vec()));
    let mut value = HeaderValue::from_maybe_shared(value).map_err(malformed)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The lifetime of an assertion, which is used once.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);
