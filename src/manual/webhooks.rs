//! Receiving and sending webhooks: the settings for each sender, rotation, retries, and a checklist.
//!
//! [`signature::webhook`](crate::signature::webhook) has the layer and its example, `cargo run --example signed` runs one.
//!
//! # Senders
//!
//! ```
//! use http::HeaderName;
//! use tower_warden::signature::payload::{PayloadKey, PayloadScheme, SignatureEncoding, TimestampUnit};
//!
//! let field = HeaderName::from_static;
//!
//! // Standard Webhooks: the secret begins with `whsec_`, and is decoded. Svix names the fields `svix-…`.
//! let standard = (PayloadScheme::standard_webhooks(), PayloadKey::standard_webhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?);
//! let svix = PayloadScheme::standard_webhooks_of("svix")?;
//!
//! // Stripe: the signing secret of the endpoint, as it is written. It also begins with `whsec_`, and is not decoded.
//! let stripe = (PayloadScheme::stripe(), PayloadKey::secret(b"whsec_5d1f0e2c8a7b4936")?);
//!
//! // Slack: the signing secret of the app, not a token.
//! let slack = (PayloadScheme::slack(), PayloadKey::secret(b"8f742231b10e8888abcd99yyyzzz85a5")?);
//!
//! // GitHub: the secret of the webhook; 16 bytes or more.
//! let github = (PayloadScheme::github(), PayloadKey::secret(b"twenty-four random bytes")?);
//!
//! // Paddle: the secret of the notification destination, as it is written.
//! let paddle = (PayloadScheme::paddle(), PayloadKey::secret(b"pdl_ntfset_01h0000000000000000000")?);
//!
//! // Discord: the public key of the application. It sends its interactions so.
//! let public_key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
//! let discord = (PayloadScheme::discord(), PayloadKey::discord(public_key)?);
//!
//! // Zoom: as Slack, with names of its own.
//! let zoom = PayloadScheme::custom(field("x-zm-signature"), "v0:{timestamp}:{body}")?
//!     .prefix("v0=")?
//!     .timestamp(field("x-zm-request-timestamp"), TimestampUnit::Seconds);
//!
//! // Shopify: the body alone, in base64, with the secret of the app.
//! let shopify = PayloadScheme::custom(field("x-shopify-hmac-sha256"), "{body}")?
//!     .encoding(SignatureEncoding::Base64)?
//!     .id(field("x-shopify-webhook-id"))
//!     .danger_without_timestamp();
//!
//! // A secret that belongs to another scheme is an error at start.
//! let verifier = tower_warden::signature::webhook::WebhookVerifier::new(PayloadScheme::standard_webhooks(), [stripe.1]);
//! assert!(verifier.is_err());
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! # Retries, and what a handler does twice
//!
//! | | |
//! |---|---|
//! | the same request again, byte for byte | refused with 401 while its timestamp is valid |
//! | a retry that the sender signs again, with a new timestamp | reaches the handler, with the same [`Delivery::id`] |
//! | a retry of a sender without timestamps (GitHub, Shopify) | refused within the replay window: a manual redelivery within it as well |
//!
//! A handler that failed half-way receives the message again, so it uses the id, or one within the event, as an idempotency key.
//! It responds with 2xx as soon as the message is stored: senders wait a few seconds only.
//!
//! [`Delivery::id`]: crate::signature::webhook::Delivery::id
//!
//! # Rotating a secret
//!
//! 1. Create the new secret at the sender. Add it after the old one: `WebhookVerifier::new(scheme, [old, new])`, or
//!    [`set_keys`](crate::signature::webhook::WebhookVerifier::set_keys) at run time.
//! 2. Let the sender use the new one. Senders with a list of signatures sign with both for a while.
//! 3. Remove the old one, at least six minutes after the new one was added: both parts of the tolerance. Without timestamps, that
//!    is the replay window, one hour. Requests that are signed with the old one are refused from then on. A request is recorded
//!    for each secret that is known when it arrives, so none is accepted a second time.
//!
//! # Sending
//!
//! [`PayloadSigner`](crate::signature::payload::PayloadSigner) makes the header fields, and `PayloadSignatureLayer` of the crate
//! `tower-warden-client` adds them to each request. Prefer Standard Webhooks: receivers have libraries for it, and its fields have
//! an id, a timestamp, and a list of signatures for rotations. Give each receiver a secret of its own.
//!
//! # Checklist
//!
//! - The layer is around the route of the webhook only, outside of everything that reads the body.
//! - No layer or proxy outside decompresses, parses or reformats the body.
//! - The clock of the server is synchronized: the tolerance is five minutes.
//! - Several nodes share a [`ReplayGuard`](crate::replay::ReplayGuard), such as `RedisReplayGuard`. If it is down, the response is
//!   503, and the sender tries again.
//! - A limit by address is outside of the layer; see [`layer`](crate::layer).
//! - What the event says is read from the verified body, never from the query or from unsigned header fields.
