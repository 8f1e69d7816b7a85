//! Requests that are signed: the choice of a scheme, policies, keys, proxies, and a checklist.
//!
//! [`signature`](crate::signature) has the rules of RFC 9421, `cargo run --example signed` runs a server and a client of all
//! schemes, and [`webhooks`](super::webhooks) is the chapter about senders of webhooks.
//!
//! # Which scheme
//!
//! | the caller has | use |
//! |---|---|
//! | a key of its own, which you register | [`Signatures`](crate::signature::Signatures) with a [`SignatureKeyMap`](crate::signature::SignatureKeyMap), or a [`SignatureKeys`](crate::signature::SignatureKeys) source of yours |
//! | a directory in which it publishes its keys (Web Bot Auth) | [`SignaturePolicy::web_bot_auth`](crate::signature::SignaturePolicy::web_bot_auth) with `SignatureAgents` |
//! | a token or an API key that is bound to its key | [`AuthLayer::signature_proof`](crate::layer::AuthLayer::signature_proof), which covers the content as well; [DPoP](crate::dpop) where clients support only that |
//! | an API key and a shared secret: `X-API-Key` with `X-Signature` | [`PayloadProof`](crate::signature::bound::PayloadProof) |
//! | a shared secret only | [`HmacKey`](crate::signature::HmacKey) under RFC 9421; for `X-Timestamp` with `X-Signature`, a [webhook](crate::signature::webhook) of the scheme [`timestamped`](crate::signature::payload::PayloadScheme::timestamped) |
//! | a certificate | [`certificate`](crate::certificate): TLS signs the connection already |
//!
//! With a key pair, the server stores public keys only: an attacker who can read them cannot sign. With a shared secret, anyone
//! who can verify signatures can also sign.
//!
//! # Policies
//!
//! ```
//! use std::time::Duration;
//! use tower_warden::signature::{SignatureAlgorithm, SignaturePolicy};
//!
//! // Method, target and content; five minutes; once. The origin is the one that clients call.
//! let orders = SignaturePolicy::new("https://api.example.com")?;
//!
//! // Behind a proxy that removes `/v1`, also by another name, with one algorithm, and for this application only.
//! let proxied = SignaturePolicy::new("https://api.example.com")?
//!     .origin("https://api.example.net")?
//!     .removed_prefix("/v1")?
//!     .algorithms([SignatureAlgorithm::Ed25519])?
//!     .tag("orders")?
//!     .max_age(Duration::from_secs(60))?;
//!
//! // A further component. Less than method and authority is refused.
//! let tenants = orders.clone().components(["@method", "@target-uri", "x-tenant"])?;
//! assert!(orders.components(["x-tenant"]).is_err());
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! # Where the layers go
//!
//! The layer that compares the content is outside of the one that authenticates: a changed body is refused before its
//! signature is recorded as used, and a signed request without that layer is refused with 500.
//!
//! ```text
//! ClientAddressLayer ─▶ RateLimitLayer by peer ─▶ BodyCheckLayer(ContentDigestCheck) ─▶ AuthLayer(Signatures) ─▶ decompression ─▶ handler
//! ```
//!
//! # Large uploads
//!
//! Content is read completely before the handler runs, within the limits of the layer. Where that is too much to hold in memory,
//! [`danger_stream_content`](crate::signature::ContentDigestCheck::danger_stream_content) passes it on while it is compared. The
//! sender is verified before anything is read, but the content only at its end: the handler has to read up to there, and to
//! discard on an error what it has stored. Reserve it for routes whose handler does so, by a layer around these routes only.
//!
//! ```text
//! ContentDigestCheck::new(limits).danger_stream_content() ─▶ AuthLayer(Signatures) ─▶ handler of the upload
//! ```
//!
//! # Time
//!
//! A signature is accepted up to 300 seconds after it was made, and 60 seconds before, if the clock of its maker is ahead: of
//! messages and payloads alike, which [`max_age`](crate::signature::SignaturePolicy::max_age) with
//! [`skew`](crate::signature::SignaturePolicy::skew), and
//! [`tolerance`](crate::signature::webhook::WebhookVerifier::tolerance) change. The times of keys in the directories of agents
//! (`nbf`, `exp`) are compared with the same skew.
//!
//! # Rotation
//!
//! Register the new key under another `keyid` (keys that tokens are bound to in a source of
//! [`ProofKeys`](crate::signature::ProofKeys), without a restart), let the client sign with it, and remove the old one. For shared secrets, list the
//! old one and the new one until all senders have the new one, and for at least six minutes: both parts of the tolerance, or the
//! replay window of one hour without a timestamp. Agents with a directory publish the new key there before they sign with it; a
//! key that leaves its directory is refused at the next fetch, and one with `exp` from then on.
//!
//! # A request is refused
//!
//! The log has the reason; [`refusals`](super::refusals) explains each. The most frequent causes:
//!
//! | reason | cause |
//! |---|---|
//! | `signature_wrong` | the client signed another URL: the origin of the policy is not the one that it calls, a proxy has changed the path or a covered field, or `@query` lacks its `?` |
//! | `signature_not_covered`, `signature_content_not_covered` | `Accept-Signature` of the response names what is required; with content, also `content-digest` and `content-type`, and next to a token the field that carries it |
//! | `signature_too_old`, `signature_in_future` | a clock, or a request that waited in a queue: sign when it is sent |
//! | `signature_replay` | a retry with the same signature: each attempt needs its own |
//!
//! # Checklist
//!
//! 1. The origin of the policy is the URL that clients call, with the port if it is not the one of the scheme. A server without
//!    TLS needs [`SignaturePolicy::danger_plain_http`](crate::signature::SignaturePolicy::danger_plain_http).
//! 2. Nodes share a [`ReplayGuard`](crate::replay::ReplayGuard): `RedisReplayGuard` of `tower-warden-redis`.
//! 3. Limits by peer are outside of the layer that reads the content, whose limit is as small as the API allows.
//! 4. Secrets are random, one for each client, and at least 32 bytes long.
//! 5. Clients sign each attempt again: `SignLayer` of `tower-warden-client` inside of its `RetryLayer`.
