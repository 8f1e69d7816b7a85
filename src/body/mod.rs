//! Checks that need the request's body.
//!
//! [`BodyCheckLayer`] reads a body within [limits](BodyLimits), lets a [`BodyCheck`] inspect it, and passes the identical
//! bytes on, with their trailers. A request that the check does not [inspect](BodyCheck::limits) streams through untouched.
//! The layer refuses with:
//!
//! | status | reason | the body |
//! |---|---|---|
//! | 413 | `body_too_large` | is larger than [`max_bytes`](BodyLimits::max_bytes), or is declared to be |
//! | 408 | `body_timeout` | did not arrive within the [`timeout`](BodyLimits::timeout) |
//! | 400 | `body_incomplete` | broke off, usually because the client disconnected |
//!
//! It needs a tokio runtime with its timer enabled.
//!
//! # Mounting
//!
//! The inner service takes `Request<`[`InspectedBody<B>`](InspectedBody)`>`. axum's `Router`, tonic's `Routes` and rmcp's
//! `StreamableHttpService` take any request body, so the layer mounts on them without an adapter. Where the body of
//! responses is not made from [`Bytes`](bytes::Bytes), as rmcp's is not, choose how refusals are answered:
//! `.respond_with(`[`EmptyBody`](crate::refusal::EmptyBody)`)`, or a closure that boxes the body of
//! [`Problem`](crate::refusal::Problem).
//!
//! # Examples
//!
//! Refusing JSON arrays, such as batches of a protocol that no longer has them:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     Reason, Rejection, RejectionKind,
//!     body::{BufferedRequest, InspectedBody},
//!     layer::BodyCheckLayer,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let no_batches = BodyCheckLayer::new(|request: &BufferedRequest<'_>| {
//!     if request.body.trim_ascii_start().starts_with(b"[") {
//!         return Err(Rejection::new(RejectionKind::BodyInvalid, Reason::custom("batch")));
//!     }
//!     Ok(())
//! });
//! let echo = async |request: Request<InspectedBody<Full<Bytes>>>| {
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::new(request.into_body().collect().await?.to_bytes())))
//! };
//! let service = ServiceBuilder::new().layer(no_batches).service_fn(echo);
//!
//! let single = Request::new(Full::from(r#"{"id": 1}"#));
//! let response = service.clone().oneshot(single).await?;
//! assert_eq!(response.into_body().collect().await?.to_bytes(), r#"{"id": 1}"#);
//!
//! let batch = Request::new(Full::from(r#"[{"id": 1}]"#));
//! assert_eq!(service.clone().oneshot(batch).await?.status(), 400);
//!
//! // The default limit is 1 MiB.
//! let large = Request::new(Full::from(vec![b' '; (1 << 20) + 1]));
//! assert_eq!(service.oneshot(large).await?.status(), 413);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Deployment caveat
//!
//! Each request that is being read occupies up to `max_bytes` of memory for up to `timeout`. Put
//! [`AuthLayer`](crate::layer::AuthLayer), and limits, outside of this layer: then only authenticated callers make the
//! server buffer anything. Exception: `ContentDigestCheck`, for signed requests, is outside of `AuthLayer`, and a limit by
//! client address outside of it.
//!
//! The check sees the bytes as they arrive at the layer. Behind a layer that decompresses, the limit applies to the
//! decompressed bytes; outside of one, the check sees compressed bytes and the handler does not.

#[cfg(feature = "signature")]
pub(crate) use self::reader::{Content, Reader};
pub use self::{
    check::{BodyCheck, BufferedRequest},
    inspected::InspectedBody,
    layer::BodyCheckLayer,
    limits::BodyLimits,
    service::{BodyGate, ResponseFuture},
};

mod check;
mod inspected;
mod layer;
mod limits;
mod reader;
mod reason;
mod service;
