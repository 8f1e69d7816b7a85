//! Secrets in the KV engine of Vault, version 2.

use std::{fmt, sync::Arc, time::Duration};

use tower_warden::{ConfigError, Eventual, fetch::Fetch};

use self::client::Vault;
use super::{
    Changes, Polling, Secret, SecretError, SecretSource, Versioned,
    polled::{Polled, Reader, Reading},
};

mod client;
mod name;

/// Secrets in the KV engine of Vault or OpenBao, version 2.
///
/// The name of a secret is its path in the engine and one of its fields, such as `billing/stripe#api_key`; without a field, it
/// is `value`. The token is a secret of another source: with `FileSecrets` and the sink of Vault Agent, it is renewed by the
/// agent; otherwise call [`renew_token`](Self::renew_token).
///
/// A secret is read again when the [interval](Polling::interval) has passed. If Vault does not respond then, the last value
/// remains in use, with one warning. The buffers of the HTTP client are overwritten only where it keeps no
/// other reference to them.
///
/// It is a client of two routes, `GET /v1/<mount>/data/<path>` and `POST /v1/auth/token/renew-self`, and is tested with a
/// stand-in that has these two, not with Vault.
///
/// # Examples
///
/// ```
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use tower_warden::{Eventual, Unavailable, fetch::Fetch};
/// use tower_warden_client::secret::{EnvironmentSecrets, SecretSource, VaultSecrets};
///
/// # struct StandIn;
/// # impl Fetch for StandIn {
/// #     fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
/// #         let known = request.uri() == "https://vault.internal:8200/v1/secret/data/billing/stripe";
/// #         let body = r#"{"data":{"data":{"api_key":"sk_live_0123456789abcdef"},"metadata":{"version":3}}}"#;
/// #         let (status, body) = if known { (200, body) } else { (404, r#"{"errors":[]}"#) };
/// #         Eventual::Now(Ok(Response::builder().status(status).body(body.into()).unwrap()))
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let fetch = StandIn;
/// // `fetch` is a `tower_warden::fetch::HttpClient` for the network of Vault.
/// let token = EnvironmentSecrets::of([("VAULT_TOKEN", "hvs.0123456789abcdef")]);
/// let secrets = VaultSecrets::new(fetch, "https://vault.internal:8200", token, "VAULT_TOKEN")?;
///
/// let key = secrets.get("billing/stripe#api_key").wait().await?;
/// assert_eq!((key.current().expose(), key.version()), ("sk_live_0123456789abcdef", 3));
/// assert!(secrets.get("billing/other#api_key").wait().await.is_err());
/// assert!(secrets.get("../../sys/health").wait().await.is_err());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct VaultSecrets(Arc<Polled<Vault>>);

impl VaultSecrets {
    /// Reads secrets of a server, with the token that another source has by this name. The engine is mounted at `secret`.
    ///
    /// # Errors
    ///
    /// If the address is not an [origin](crate::Origin::parse): an `https` URL without a path, or plain `http` on a
    /// loopback host; or if `fetch` cannot send requests to it.
    pub fn new(
        fetch: impl Fetch,
        address: &str,
        tokens: impl SecretSource,
        token_name: impl Into<Box<str>>,
    ) -> Result<Self, ConfigError> {
        let vault = Vault::new(Arc::new(fetch), address, Arc::new(tokens), token_name.into())?;
        Ok(Self(Arc::new(Polled::new(vault, Polling::default()))))
    }

    /// Sets the path at which the engine is mounted: `secret` by default. What was read is forgotten.
    ///
    /// # Errors
    ///
    /// If it has other characters than letters, digits, `-`, `_`, `.` and `/`.
    pub fn mount(self, mount: &str) -> Result<Self, ConfigError> {
        let vault = self.0.reader.clone().mount(mount)?;
        Ok(Self(Arc::new(Polled::new(vault, self.0.polling.clone()))))
    }

    /// Replaces the settings, and forgets what was read.
    #[must_use]
    pub fn polling(self, polling: Polling) -> Self {
        Self(Arc::new(Polled::new(self.0.reader.clone(), polling)))
    }

    /// Reads all secrets that were requested again at each interval, in a task that ends when the last clone of this source is
    /// dropped. Without it, a change is noticed, and notified, by the next [`get`](SecretSource::get).
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    #[must_use]
    pub fn poll_in_background(self) -> Self {
        self.0.poll_in_background();
        self
    }

    /// Renews the token, and returns for how long it is valid from now on.
    ///
    /// # Errors
    ///
    /// If Vault does not respond, or refuses it: the token is not renewable, or has expired.
    pub async fn renew_token(&self) -> Result<Duration, SecretError> {
        self.0.reader.renew_token().await
    }
}

impl SecretSource for VaultSecrets {
    fn get(&self, name: &str) -> Eventual<Result<Versioned<Secret>, SecretError>> {
        self.0.get(name)
    }

    fn changes(&self) -> Changes {
        self.0.subscribe()
    }
}

impl fmt::Debug for VaultSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VaultSecrets").field(&self.0.reader).finish()
    }
}

impl Reader for Vault {
    async fn read(&self, name: &str) -> Result<Reading, SecretError> {
        self.read_secret(name).await
    }
}
