//! API keys that are accepted with a signature only.
//!
//! The record of such a key is [bound](crate::caller::Confirmation) to a secret or to a public key. The client sends the API
//! key, and signs each request: an API key that leaked, for example from a log, is of no use without the secret.
//! [`PayloadProof`] verifies the signature as a [proof of possession](crate::auth::ProofOfPossession) of an
//! [`AuthLayer`](crate::layer::AuthLayer). A layer without it refuses bound keys.
//!
//! # Secrets
//!
//! The record holds a digest, and not the secret, like that of the API key. HMAC needs the secret itself: [`PayloadKeys`]
//! finds it by the digest.
//!
//! - [`DerivedSecrets`] derives each secret from one master secret and the digest, so nothing is stored.
//! - [`PayloadKeyMap`] has a list of secrets and public keys, by their thumbprints.
//! - A custom implementation reads them from elsewhere, ahead of requests: it does not wait.
//!
//! Use a secret for one API key only. The signature covers the request but not the API key: of two keys that are bound to one
//! secret, somebody who relays a request can put one in the place of the other.
//!
//! # Examples
//!
//! ```
//! use axum::{Router, body::Body, http::{Method, Request, Uri}, routing::post};
//! use tower::ServiceExt;
//! use tower_warden::{
//!     Clock, SystemClock,
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     layer::AuthLayer,
//!     signature::{
//!         bound::{DerivedSecrets, PayloadProof},
//!         payload::{Payload, PayloadScheme, PayloadSigner},
//!     },
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let secrets = DerivedSecrets::new(b"a master secret of 32 bytes, or more")?;
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//!
//! // Both are shown once to the owner of the key. The name is unique to the key.
//! let (binding, secret) = secrets.derive("agent-7/2026-11");
//! let (_, key) = keys.mint(NewKey::new("agent-7").confirmation(binding)).await?;
//!
//! let scheme = PayloadScheme::timestamped_request();
//! let proof = PayloadProof::new(scheme.clone(), secrets)?;
//! let app: Router = Router::new()
//!     .route("/transfer", post(async |body: String| body))
//!     .layer(AuthLayer::new(keys).proof(proof.clone()))
//!     .layer(proof.body_layer());
//!
//! // The client:
//! let signer = PayloadSigner::new(scheme, secret.key())?;
//! let (uri, now) = (Uri::from_static("/transfer"), SystemClock::default().timestamp());
//! let fields = signer.sign(&Payload::new(&Method::POST, &uri, b"12", now))?;
//! let call = |body: &'static str, is_signed: bool| {
//!     let mut request = Request::post(&uri).header("x-api-key", key.expose()).body(Body::from(body)).expect("a request");
//!     if is_signed {
//!         request.headers_mut().extend(fields.clone());
//!     }
//!     app.clone().oneshot(request)
//! };
//! assert_eq!(call("12", false).await?.status(), 401, "the key alone");
//! assert_eq!(call("90", true).await?.status(), 401, "another body");
//! assert_eq!(call("12", true).await?.status(), 200);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Deployment caveat
//!
//! The body of a request is read before the API key is verified, because its signature proves who sends it. It is read if the
//! signature is well formed and its timestamp is recent, which anybody can achieve: up to 1 MiB for up to 10 seconds of each
//! request, see [`PayloadProof::limits`]. Put a limit by address outside of the layer.
//!
//! The signature does not cover the host: two services that share API keys and secrets accept each other's requests. Give each
//! service secrets of its own, or let clients sign by RFC 9421, whose policies require the authority.
//!
//! The target of the request is the one that this server receives. A proxy that rewrites paths makes signatures invalid that
//! cover it.

pub use self::{
    derived::{DerivedSecret, DerivedSecrets},
    keys::{PayloadKeyMap, PayloadKeys},
    proof::PayloadProof,
};

mod derived;
mod keys;
mod proof;
