//! Secrets in AWS Secrets Manager.

use std::{fmt, sync::Arc};

use aws_sdk_secretsmanager::Client;
use tower_warden::Eventual;

pub use self::http::AwsHttpClient;
use self::reader::{SecretsManager, Stage};
use super::{Changes, Polling, Secret, SecretError, SecretSource, Versioned, polled::Polled};

mod http;
mod name;
mod reader;

/// Secrets in AWS Secrets Manager, by the client of the official SDK.
///
/// The name of a secret is its name or ARN there. If its text is a JSON object, `#` and a member follow, such as
/// `prod/billing#api_key`, and the member is the secret. Secrets that are bytes are refused.
///
/// The value is the version with the staging label `AWSCURRENT`. A secret is read again when the
/// [interval](Polling::interval) has passed, and the value before a change remains valid for the
/// [overlap](Polling::overlap). When a secret is read for the first time, the version `AWSPREVIOUS` is read as well; it
/// is valid for the overlap after the current version was created. The version `AWSPENDING`, which exists during a
/// rotation, is that of [`pending`](Self::pending).
///
/// If AWS does not respond, the last value remains in use, with one warning. Each reading is an API call that AWS
/// charges for: the interval need not be shorter than the rotation requires. The texts that are read are wiped; the
/// buffers of the SDK are not.
///
/// Credentials and region are those of the client. It is built from the crate `aws-config`, or by hand, with any HTTP
/// client of the SDK, or with [`AwsHttpClient`].
///
/// # Examples
///
/// ```
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use tower_warden::{Eventual, Unavailable, fetch::Fetch};
/// use aws_sdk_secretsmanager::{Client, Config, config::{Credentials, Region}};
/// use tower_warden_client::secret::{AwsHttpClient, AwsSecrets, SecretErrorKind, SecretSource};
///
/// # struct StandIn;
/// # impl Fetch for StandIn {
/// #     fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
/// #         let body = String::from_utf8(request.body().to_vec()).unwrap();
/// #         let (status, body) = if body.contains("prod/billing") && body.contains("AWSCURRENT") {
/// #             (200, r#"{"SecretString":"{\"api_key\":\"sk_live_0123456789abcdef\"}","CreatedDate":1.8E9}"#)
/// #         } else {
/// #             (400, r#"{"__type":"ResourceNotFoundException"}"#)
/// #         };
/// #         Eventual::Now(Ok(Response::builder().status(status).body(body.into()).unwrap()))
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let fetch = StandIn;
/// // `fetch` is a `tower_warden::fetch::HttpClient`.
/// let config = Config::builder()
///     .region(Region::new("eu-central-1"))
///     .credentials_provider(Credentials::new("AKIAIOSFODNN7EXAMPLE", "s3cret", None, None, "example"))
///     .http_client(AwsHttpClient::new(fetch))
///     .build();
/// let secrets = AwsSecrets::new(Client::from_conf(config));
///
/// let key = secrets.get("prod/billing#api_key").wait().await?;
/// assert_eq!(key.current().expose(), "sk_live_0123456789abcdef");
/// let missing = secrets.get("prod/reports#api_key").wait().await.unwrap_err();
/// assert_eq!(missing.kind(), SecretErrorKind::Missing);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct AwsSecrets(Arc<Polled<SecretsManager>>);

impl AwsSecrets {
    /// Reads secrets with this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self::of(SecretsManager::new(client, Stage::Current), Polling::default())
    }

    /// Reads the versions with the label `AWSPENDING` instead: those that a rotation has created and not finished. A
    /// secret that is not being rotated is [missing](super::SecretErrorKind::Missing). What was read is forgotten.
    #[must_use]
    pub fn pending(self) -> Self {
        Self::of(self.0.reader.at(Stage::Pending), self.0.polling.clone())
    }

    /// Replaces the settings, and forgets what was read.
    #[must_use]
    pub fn polling(self, polling: Polling) -> Self {
        Self::of(self.0.reader.clone(), polling)
    }

    /// Reads all secrets that were requested again at each interval, in a task that ends when the last clone of this
    /// source is dropped. Without it, a change is noticed, and notified, by the next [`get`](SecretSource::get).
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    #[must_use]
    pub fn poll_in_background(self) -> Self {
        self.0.poll_in_background();
        self
    }

    fn of(reader: SecretsManager, polling: Polling) -> Self {
        Self(Arc::new(Polled::new(reader, polling)))
    }
}

impl SecretSource for AwsSecrets {
    fn get(&self, name: &str) -> Eventual<Result<Versioned<Secret>, SecretError>> {
        self.0.get(name)
    }

    fn changes(&self) -> Changes {
        self.0.subscribe()
    }
}

impl fmt::Debug for AwsSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsSecrets").finish_non_exhaustive()
    }
}
