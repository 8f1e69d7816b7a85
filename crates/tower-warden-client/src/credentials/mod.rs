//! The credentials of an application for all services that it calls, by one configuration and one interface.
//!
//! A [`CredentialsConfig`] names the services of each environment and the kind of their credentials; the application
//! selects the environment by its name. Development may have API keys, staging client credentials, and production
//! certificates, and the code is the same: [`Credentials::layer_for`].
//!
//! - The configuration contains names of secrets, and never their values.
//! - Each service has an origin of its own, to which its credential is sent, and no other. Two services with one origin
//!   are refused, and so is a secret that would be sent to two services.
//! - Secrets are read when the credentials are loaded, so that what is missing or malformed is an error at start.
//!   Rotated secrets are used without a restart.
//! - [`Credentials::status`] is for readiness checks.
//!
//! # Examples
//!
//! ```
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_warden_client::{credentials::{Credentials, CredentialsConfig}, secret::EnvironmentSecrets};
//!
//! let config: CredentialsConfig = serde_json::from_str(r#"{
//!     "development": {
//!         "billing": { "kind": "api_key", "origin": "http://127.0.0.1:8080", "key_name": "BILLING_API_KEY" },
//!         "reports": {
//!             "kind": "api_key", "origin": "http://127.0.0.1:8081", "key_name": "REPORTS_API_KEY",
//!             "field": "x-api-key"
//!         }
//!     },
//!     "production": {
//!         "billing": {
//!             "kind": "mtls", "origin": "https://billing.example.com",
//!             "token_url": "https://auth.example.com/token", "client_id": "agent"
//!         }
//!     }
//! }"#)?;
//! let secrets = EnvironmentSecrets::of([
//!     ("BILLING_API_KEY", "sk_test_0123456789abcdef"), ("REPORTS_API_KEY", "sk_test_fedcba9876543210"),
//! ]);
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let credentials = Credentials::builder(&config, "development", secrets.clone())?.load().await?;
//! let api = service_fn(async |request: Request<Full<Bytes>>| {
//!     assert_eq!(request.headers()["x-api-key"], "sk_test_fedcba9876543210");
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! });
//! let reports = credentials.layer_for("reports")?.layer(api);
//! let get = |url: &str| Request::get(url).body(Full::<Bytes>::default());
//! assert!(reports.clone().oneshot(get("http://127.0.0.1:8081/")?).await.is_ok());
//! assert!(reports.oneshot(get("http://127.0.0.1:8080/")?).await.is_err(), "the origin of another service");
//!
//! let error = credentials.layer_for("admin").unwrap_err();
//! assert!(error.to_string().contains("billing, reports"));
//!
//! // The certificate of production is that of an HTTP client, which is not configured here.
//! assert!(Credentials::builder(&config, "production", secrets)?.load().await.is_err());
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(()) }).map_err(|error| error.to_string())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use self::{
    builder::CredentialsBuilder,
    config::CredentialsConfig,
    coordinator::Credentials,
    error::{CredentialsError, CredentialsErrorKind},
    status::ServiceStatus,
};

mod builder;
mod config;
mod coordinator;
mod error;
mod grants;
mod observed;
mod status;
