//! Signatures of a timestamp and a body, as senders of webhooks make them.
//!
//! A [`PayloadScheme`] describes which header fields a signature has and which bytes it covers. [`PayloadKey`]s verify it, in
//! a [`WebhookLayer`](super::webhook::WebhookLayer) or as the [proof](super::bound) of an API key, and a [`PayloadSigner`]
//! makes it. The signature is an HMAC-SHA-256 under a secret that both sides have, or one of Ed25519.
//!
//! | scheme | fields | covered |
//! |---|---|---|
//! | [`standard_webhooks`](PayloadScheme::standard_webhooks) | `webhook-id`, `webhook-timestamp`, `webhook-signature` | `id.timestamp.body` |
//! | [`stripe`](PayloadScheme::stripe) | `Stripe-Signature` | `timestamp.body` |
//! | [`slack`](PayloadScheme::slack) | `X-Slack-Request-Timestamp`, `X-Slack-Signature` | `v0:timestamp:body` |
//! | [`github`](PayloadScheme::github) | `X-Hub-Signature-256` | `body` |
//! | [`paddle`](PayloadScheme::paddle) | `Paddle-Signature` | `timestamp:body` |
//! | [`discord`](PayloadScheme::discord) | `X-Signature-Timestamp`, `X-Signature-Ed25519` | timestamp, body |
//! | [`timestamped`](PayloadScheme::timestamped) | `X-Timestamp`, `X-Signature` | `timestamp.body` |
//! | [`timestamped_request`](PayloadScheme::timestamped_request) | `X-Timestamp`, `X-Signature` | timestamp, method, target, body, in lines |
//! | [`custom`](PayloadScheme::custom) | declared | declared |
//!
//! Header fields that are not in the table, trailers, and the request's method and target unless the scheme covers them, are
//! not protected: a relay can change them.
//!
//! # Examples
//!
//! ```
//! use http::{Method, Uri};
//! use tower_warden::{
//!     Timestamp,
//!     signature::payload::{Payload, PayloadKey, PayloadScheme, PayloadSigner},
//! };
//!
//! let secret = PayloadKey::standard_webhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
//! let signer = PayloadSigner::new(PayloadScheme::standard_webhooks(), secret)?;
//! let uri = Uri::from_static("https://customer.example.com/hooks");
//! let payload = Payload::new(&Method::POST, &uri, br#"{"test": 2432232314}"#, Timestamp::from_millis(1_614_265_330_000));
//!
//! let fields = signer.sign(&payload.id("msg_p5jXN8AQM9LWM0D4loKWxJek"))?;
//! assert_eq!(fields["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
//! assert_eq!(fields["webhook-timestamp"], "1614265330");
//!
//! assert!(signer.sign(&payload).is_err(), "the scheme requires an id");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use self::{
    key::PayloadKey,
    scheme::{PayloadScheme, SignatureEncoding, TimestampUnit},
    signer::{Payload, PayloadSigner, PayloadSigningError},
};

pub(in crate::signature) use self::{fields::SignatureFields, reason::REPLAY_REASONS, tolerance::Tolerance};

mod fields;
mod key;
mod keys;
mod reason;
mod scheme;
mod senders;
mod signer;
mod template;
mod tolerance;
