//! DPoP ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)): credentials that only the holder of a key can use.
//!
//! For each request, the client signs a short proof with the key that its token is bound to (`jkt` in the token's `cnf`). It
//! sends the token under the scheme `DPoP`, and the proof in the header field `DPoP`. [`AuthLayer::dpop`] adds the scheme and
//! the verification of proofs to a layer, for all authenticators whose credentials can be bound: JWTs, introspected tokens,
//! API keys.
//!
//! # Examples
//!
//! ```
//! use tower_warden::{api_key::{ApiKeys, KeyFormat, MemoryKeyStore}, dpop::Dpop, layer::AuthLayer};
//!
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let auth = AuthLayer::new(keys).dpop(Dpop::new("https://api.example.com")?);
//!
//! assert!(Dpop::new("http://api.example.com").is_err(), "not https");
//! assert!(Dpop::new("https://api.example.com/?a=b").is_err(), "more than an origin and a path");
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! # What is verified
//!
//! The proof is verified after the token has been found valid and bound to a key, by the list of
//! [RFC 9449 §4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3):
//!
//! 1. There is one field `DPoP`. It holds one compact JWS of at most 8 KiB, whose `typ` is `dpop+jwt` and whose header
//!    requires no extension.
//! 2. `htm` is the request's method, and `htu` its public URL. The URL is made of the configured one, never of `Host` or
//!    `X-Forwarded-…`. Both sides are normalised by
//!    [RFC 3986 §6.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2) and
//!    [§6.2.3](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.3), without query and fragment. A path with characters that
//!    RFC 3986 does not allow, such as the `|` that browsers send, must be equal byte for byte.
//! 3. `iat` is at most 300 seconds in the past and at most 30 seconds in the future, or up to one hour with a nonce, which
//!    then decides the age of the proof. `exp` and `nbf` are optional, and are checked if present.
//! 4. `ath` is the SHA-256 digest of the token.
//! 5. `nonce` was issued by this server recently, if [`nonces`](Dpop::nonces) are required.
//! 6. The signature verifies with the key in the header, which is a public key, by an allowed algorithm.
//! 7. The key is the one that the token is bound to; otherwise the token is refused, not the proof.
//! 8. The proof was not used before: a [`ReplayGuard`](crate::replay::ReplayGuard) records it for as long as it is valid. A
//!    client that sends more proofs than the guard has room for gets 429, or 503 if all clients together do.
//!
//! # Behind a proxy, and nested routers
//!
//! A proof names the URL that the client called. If all paths of the API have a prefix in common, such as `/mcp`, include it in
//! the configured URL, also if a proxy removes it: a request whose path begins with the prefix is compared with that path, and
//! to any other path the prefix is added. [`Dpop::path_rewrite`] states one of the two, or a prefix that a proxy adds. A prefix
//! that axum's `Router::nest` removes is restored. If the API has several public URLs, add them with [`Dpop::public_url`].
//!
//! # Several layers
//!
//! Give clones of one [`Dpop`] to layers on different routes, so that a proof used on one route is refused on the others. A
//! request must pass only one of them: the next layer would refuse its proof as replayed.
//!
//! # Several nodes
//!
//! A [`MemoryReplayGuard`](crate::replay::MemoryReplayGuard) records the proofs of its own node only; each other node
//! accepts a proof once more. Give all nodes a shared [`ReplayGuard`](crate::replay::ReplayGuard), and
//! [`Nonces::shared`] with one secret. A guard whose store replicates asynchronously, as Redis does, can lose the last
//! used proofs in a failover; each of these can be used once more while it is valid.
//!
//! # Browsers
//!
//! Scripts can read only the response fields that CORS exposes: expose `WWW-Authenticate` and `DPoP-Nonce`
//! ([RFC 9449 §7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)).
//!
//! [`AuthLayer::dpop`]: crate::layer::AuthLayer::dpop

#[cfg(feature = "testing")]
pub(crate) use self::key::thumbprint;
pub use self::{nonce::Nonces, public_url::PathRewrite, verifier::Dpop};

mod key;
mod nonce;
mod proof;
mod public_url;
mod reason;
mod resource;
mod scheme;
mod token_request;
mod verifier;
