use tower_warden::{ConfigError, UnixTime, jwt::Algorithm};

use crate::{
    PrivateKey, TokenError, TokenErrorKind,
    secret::{NamedSecret, SecretSource},
};

/// A private key in PEM that a [`SecretSource`] has by a name, in its current version. Clones are the same key.
///
/// The text is read for each signature that is needed for a token, so a rotated key is used without a restart.
///
/// # Examples
///
/// ```
/// use tower_warden::jwt::Algorithm;
/// use tower_warden_client::{ClientAuth, PrivateKeySource, secret::FileSecrets};
///
/// let keys = FileSecrets::new("/run/secrets");
/// let key = PrivateKeySource::new(Algorithm::ES256, keys.clone(), "billing.pem")?.with_thumbprint_as_kid();
/// let auth = ClientAuth::private_key_jwt_from("billing", key, "https://auth.example.com");
///
/// assert!(PrivateKeySource::new(Algorithm::HS256, keys, "billing.pem").is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct PrivateKeySource {
    algorithm: Algorithm,
    has_kid: bool,
    secret: NamedSecret,
}

impl PrivateKeySource {
    /// Uses the secret of this name, which is a key for this algorithm.
    ///
    /// # Errors
    ///
    /// If the algorithm is not one of those of [`PrivateKey`].
    pub fn new(
        algorithm: Algorithm,
        source: impl SecretSource,
        name: impl Into<Box<str>>,
    ) -> Result<Self, ConfigError> {
        PrivateKey::check(algorithm)?;
        Ok(Self { algorithm, has_kid: false, secret: NamedSecret::new(source, name) })
    }

    /// Sets the [thumbprint](PrivateKey::thumbprint) of the public key as its id, `kid`, so that each version of the
    /// key has an id of its own. By default, there is none, and the server tries the keys that are registered for the
    /// client.
    pub const fn with_thumbprint_as_kid(mut self) -> Self {
        self.has_kid = true;
        self
    }

    /// Returns the keys that are valid, the current one first.
    pub(crate) async fn read(&self, now: UnixTime) -> Result<(PrivateKey, Option<PrivateKey>), TokenError> {
        let versions = self.secret.read().wait().await?;
        let mut keys = versions.valid(now).map(|pem| PrivateKey::from_pem(self.algorithm, pem.expose().as_bytes()));
        let (current, previous) = (keys.next(), keys.next().and_then(Result::ok));
        let named = |key: PrivateKey| {
            let kid = self.has_kid.then(|| key.thumbprint().to_base64url());
            kid.iter().fold(key, |key, kid| key.with_kid(kid))
        };
        match (current, previous.map(named)) {
            (Some(Ok(current)), previous) => Ok((named(current), previous)),
            (_, Some(previous)) => {
                tracing::warn!(secret = ?self.secret, "a new private key is malformed; the one before remains in use");
                Ok((previous, None))
            }
            (_, None) => {
                let problem = "the secret is not a private key in PEM for the algorithm";
                Err(TokenError::new(TokenErrorKind::Store, problem))
            }
        }
    }
}
