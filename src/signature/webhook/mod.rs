//! Webhooks: requests that their sender has signed.
//!
//! [`WebhookLayer`] reads the body within [limits](WebhookVerifier::limits), verifies the signature over its bytes, and passes
//! the identical body on. The handler has the [`Delivery`] in the extensions, or extracts it, or its JSON as [`Webhook<T>`].
//! Neither can be made in another way, so a handler that takes one is not reached without the layer.
//!
//! # Examples
//!
//! ```
//! use axum::{Router, body::Body, routing::post};
//! use http::{Method, Request, Uri};
//! use serde::Deserialize;
//! use tower::ServiceExt;
//! use tower_warden::{
//!     Clock, SystemClock,
//!     layer::WebhookLayer,
//!     signature::{
//!         payload::{Payload, PayloadKey, PayloadScheme, PayloadSigner},
//!         webhook::{Webhook, WebhookVerifier},
//!     },
//! };
//!
//! #[derive(Deserialize)]
//! struct Paid {
//!     amount: u64,
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let secret = PayloadKey::standard_webhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
//! let verifier = WebhookVerifier::new(PayloadScheme::standard_webhooks(), [secret.clone()])?;
//! let app = Router::new()
//!     .route("/paid", post(async |paid: Webhook<Paid>| format!("{} received", paid.amount)))
//!     .layer(WebhookLayer::new(verifier));
//!
//! // The sender:
//! let signer = PayloadSigner::new(PayloadScheme::standard_webhooks(), secret)?;
//! let (uri, now) = (Uri::from_static("/paid"), SystemClock::default().timestamp());
//! let fields = signer.sign(&Payload::new(&Method::POST, &uri, br#"{"amount": 12}"#, now).id("msg_1"))?;
//! let call = |body: &'static str| {
//!     let mut request = Request::post(&uri).body(Body::from(body)).expect("a request");
//!     request.headers_mut().extend(fields.clone());
//!     app.clone().oneshot(request)
//! };
//!
//! assert_eq!(call(r#"{"amount": 90}"#).await?.status(), 401, "another body");
//! assert_eq!(call(r#"{"amount": 12}"#).await?.status(), 200);
//! assert_eq!(call(r#"{"amount": 12}"#).await?.status(), 401, "a replay");
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is verified
//!
//! In this order; the first two before anything of the body is read:
//!
//! 1. Each field of the [scheme](super::payload::PayloadScheme) is present once, and well formed. Of a list of signatures, all
//!    of a known version are; other versions, such as `v0` of Stripe, are ignored, and one known signature is required.
//! 2. The timestamp is at most 300 seconds in the past and 60 seconds in the future: see
//!    [`tolerance`](WebhookVerifier::tolerance).
//! 3. The body arrives within the limits: 413, 408 or 400 otherwise, as in [`body`](crate::body).
//! 4. A signature is valid with one of the keys. Macs are compared in constant time.
//! 5. The request was not received before: a [`ReplayGuard`](crate::replay::ReplayGuard) records it for as long as its
//!    timestamp is valid.
//!
//! Everything that fails in 1, 2, 4 and 5 is refused with the same 401; the [reason](crate::Reason) is for the operator. If the
//! guard does not respond, the response is 503, and the sender tries again. With several keys, a request may have been recorded for
//! some of them before: then it is refused as a replay if it is repeated unchanged.
//!
//! A request is recorded before the handler runs. If the handler fails, a sender that signs each attempt again, as those of
//! Standard Webhooks, Stripe and Slack do, is accepted: [`Delivery::id`] is then the same, by which the handler can be
//! idempotent. See [`ReplayId`].
//!
//! # Rotation
//!
//! A verifier has up to 16 keys. Add the new secret, let the sender use it, and remove the old one, by a restart or by
//! [`WebhookVerifier::set_keys`]. A request is recorded for each of them, and so takes as many places of the guard.
//!
//! # Deployment caveat
//!
//! The signature covers the bytes as they were sent. A proxy or a layer outside that decompresses or reformats bodies makes all
//! signatures invalid. On several nodes, each accepts a request once unless they share a guard.

#[cfg(feature = "axum")]
pub use self::extract::Webhook;
pub use self::{
    delivery::Delivery,
    layer::WebhookLayer,
    verifier::{ReplayId, WebhookVerifier},
};

mod challenge;
mod delivery;
#[cfg(feature = "axum")]
mod extract;
mod layer;
mod reason;
mod verifier;
