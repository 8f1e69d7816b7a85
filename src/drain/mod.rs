//! The rest of a body whose request was refused.
//!
//! A server that closes a connection while the client is still sending makes the client's kernel discard the response: the
//! client reports a broken pipe, and a proxy such as nginx responds with 502 in its place. While the refusal is on its way, the
//! rest of the body is therefore read and discarded, at most [256 MiB within 30 seconds](DrainLayer).
//!
//! The layers of this crate do so by themselves if the body is that of axum. [`DrainLayer`] does it for bodies of any other
//! type, such as those of hyper, and for refusals by extractors and by `BodyCheckLayer`, `WebhookLayer` and `McpGuardLayer`,
//! which take the body. Its limits then apply to all layers inside.
//!
//! Nothing is read for HTTP/2, in which a response may end a request
//! ([RFC 9113 §8.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.1)), nor of a client that sends `Expect: 100-continue` and
//! still waits to send the body.
//!
//! # Examples
//!
//! ```
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
//!     drain::DrainedBody,
//!     layer::{AuthLayer, DrainLayer},
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let service = ServiceBuilder::new()
//!     .layer(DrainLayer::default().max_bytes(16 << 20))
//!     .layer(AuthLayer::new(keys))
//!     .service_fn(async |_: Request<DrainedBody<Full<Bytes>>>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
//! let upload = Request::post("/").body(Full::<Bytes>::from("much"))?;
//! assert_eq!(service.oneshot(upload).await?.status(), 401);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It needs a tokio runtime with its timer enabled.

#[cfg(feature = "axum")]
pub(crate) use self::rest::discard;
pub use self::{
    body::DrainedBody,
    layer::{Drain, DrainFuture, DrainLayer},
};

mod body;
mod layer;
mod rest;
