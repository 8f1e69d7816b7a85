//! Responses that take longer than their credential is valid: streams of events, long downloads, web sockets.
//!
//! A credential is checked when its request arrives. A response that has begun then goes on, although the credential
//! expires or is revoked. [`StreamGuardLayer`], which
//! [`AuthLayer::stream_guard`](crate::layer::AuthLayer::stream_guard) makes, ends it:
//!
//! 1. **Expiry**: in the second in which a new request would be refused, with the clock skew of the issuer, by the
//!    clock of the `AuthLayer`. Of two credentials ([`acting_for`](crate::layer::AuthLayer::acting_for)), the first
//!    that expires.
//! 2. **Revocation**: the revocation list of the `AuthLayer` is queried every 10 seconds
//!    ([`interval`](crate::layer::StreamGuardLayer::interval)). Then, API keys are also looked up again, through the
//!    cache: a key that was revoked, purged or replaced is noticed as soon as by a request, and the expiry of a changed
//!    key applies. The key that verified a JWT must still be in its set. [`Recheck`](crate::caller::Recheck) does the
//!    same for custom authenticators.
//! 3. **Outages**: while a list or a store does not answer, a response goes on for one minute from the first check that
//!    fails ([`outage_grace`](crate::layer::StreamGuardLayer::outage_grace)), and then ends. An outage of one hides no
//!    revocation that the other reports.
//!
//! The body ends with an error, [`CredentialEnded`], so that a client does not take a part for the whole: the
//! connection is closed before the last chunk in HTTP/1.1, and the stream is reset in HTTP/2. A browser's `EventSource`
//! then connects again, and receives the 401. A response of one frame is always sent, and starts no
//! timer.
//!
//! Not covered: opaque tokens that are revoked at their issuer only, before their `exp`; scopes, networks and limits,
//! which were decided on when the request was admitted; and the time until the handler has made the response. A
//! connection that was upgraded, such as a web socket, is not a body: its handler waits for the [`CredentialWatch`], as
//! any loop that works for the caller can. A handler that wants a stream to end without an error does so as well.
//!
//! It needs a tokio runtime with its timer enabled.
//!
//! # Examples
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use axum::{Router, body::Body, http::Request, response::sse::{Event, Sse}, routing::get};
//! use futures_util::{StreamExt, stream};
//! use http_body_util::BodyExt;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     layer::AuthLayer,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let (record, key) = keys.mint(NewKey::new("alice")).await?;
//!
//! let auth = AuthLayer::new(keys.clone());
//! let guard = auth.stream_guard().interval(Duration::from_secs(5));
//! let events = async || {
//!     let first = stream::iter([Ok::<_, Infallible>(Event::default().data("hello"))]);
//!     Sse::new(first.chain(stream::pending()))
//! };
//! let app: Router = Router::new().route("/", get(events)).layer(ServiceBuilder::new().layer(auth).layer(guard));
//!
//! let request = Request::get("/").header("x-api-key", key.expose()).body(Body::empty())?;
//! let mut body = app.oneshot(request).await?.into_body();
//! assert!(matches!(body.frame().await, Some(Ok(_))));
//!
//! keys.revoke(&record.id).await?;
//! let error = body.frame().await.expect("not the end of the events").unwrap_err();
//! assert!(error.to_string().contains("revoked"));
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use self::{
    body::GuardedBody,
    ended::{CredentialEnded, CredentialEndedKind},
    layer::{StreamGuard, StreamGuardFuture, StreamGuardLayer},
    watch::CredentialWatch,
};

mod body;
mod ended;
#[cfg(feature = "axum")]
mod extract;
mod layer;
mod reason;
mod settings;
mod watch;
