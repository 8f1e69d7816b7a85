//! DPoP, RFC 9449: tokens that are of use to nobody but the holder of a key.
//!
//! A client signs, for each request, a short proof with the key that its token is bound to (`cnf`, `jkt`). It sends both:
//! the token under the scheme `DPoP`, and the proof in a field of that name. [`Dpop`] verifies the proof; handed to an
//! [`AuthLayer`](crate::layer::AuthLayer), it goes with every authenticator whose credentials may be bound: JWTs,
//! introspection, API keys.
//!
//! ```
//! use tower_warden::{api_key::{ApiKeys, KeyFormat, MemoryKeyStore}, dpop::Dpop, layer::AuthLayer};
//!
//! # fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let auth = AuthLayer::new(keys).dpop(Dpop::new("https://api.example.com")?);
//!
//! assert!(Dpop::new("http://api.example.com").is_err(), "not https");
//! assert!(Dpop::new("https://api.example.com/?a=b").is_err(), "more than an origin and a path");
//! # Ok(()) }
//! # run().unwrap();
//! ```
//!
//! # What is verified
//!
//! Once the token is known to be good and bound to a key, all that RFC 9449 §4.3 lists:
//!
//! 1. One field `DPoP`, one compact JWS in it, at most 8 KiB, of the type `dpop+jwt`, with nothing critical in its header.
//! 2. `htm` is the method, `htu` the public URL: the one that was configured, never what `Host` or `X-Forwarded-…` say.
//!    Both sides are normalised by RFC 3986 §6.2.2 and §6.2.3; query and fragment do not count.
//! 3. `iat` is at most 300 seconds old, or 60 with a nonce, and at most 30 or 10 seconds ahead; `exp` and `nbf` hold
//!    where they are there.
//! 4. `ath` is the hash of the token.
//! 5. `nonce` is one of ours and not too old, if [`nonces`](Dpop::nonces) are on.
//! 6. The signature is that of the key in the header, by an algorithm that is allowed; the key is public.
//! 7. The key is the one that the token is bound to: if not, it is the token that is refused.
//! 8. The proof was not seen before: a [`ReplayGuard`](crate::replay::ReplayGuard) remembers it for as long as it would be good.
//!
//! # Behind a proxy, and nested
//!
//! The URL is made of the configured one and the path of the request: where a proxy takes a prefix away, configure the
//! URL with that prefix. What axum's `nest` takes away is put back.
//!
//! # Several layers
//!
//! Layers side by side take clones of one [`Dpop`], so that a proof that was spent on one route is not good on another.
//! One request passes only one of them: to the next, its proof is spent.
//!
//! # Several nodes
//!
//! A [`MemoryReplayGuard`](crate::replay::MemoryReplayGuard) knows what its own node has seen: on another one, a proof is good once more. Give them
//! a [`ReplayGuard`](crate::replay::ReplayGuard) that they share, and [`Nonces::shared`] one secret.
//!
//! # Browsers
//!
//! They show scripts no field that CORS does not expose: `WWW-Authenticate` and `DPoP-Nonce` (RFC 9449 §7.1).

#[cfg(feature = "testing")]
pub(crate) use self::key::thumbprint;
pub use self::{nonce::Nonces, verifier::Dpop};

mod demand;
mod key;
mod nonce;
mod reason;
mod target;
mod verifier;
