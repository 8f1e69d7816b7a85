//! Retries of requests, within limits of number, time and rate.
//!
//! | result | next attempt |
//! |---|---|
//! | 429, 503 | after `Retry-After`, in seconds or as a date, up to a maximum; without it, after a random wait |
//! | 500, 502; a connection that cannot be made or is lost | after a random wait, whose maximum doubles |
//! | 504; a time-out | after 5, 10, 30 seconds |
//! | anything else, 401 and 403 among them | none |
//!
//! A refusal over gRPC counts as the status that its code stands for: `UNAVAILABLE` as 503, and `RESOURCE_EXHAUSTED` with
//! `Retry-After` as 429.
//!
//! A request is sent again only if that is harmless and possible: its method is idempotent or it has an `Idempotency-Key`, and
//! its body can be [replayed](crate::replay). Each response has a [`RetrySummary`] in its extensions.
//!
//! The number of retries, each `Retry-After`, the sum of all waits and the rate of retries of the whole client are limited.
//! [`RetryLayer`] is a policy, with a budget, for the `Retry` of tower. While a request waits for its next attempt, it
//! holds neither a response nor a place in the inner service, and dropping its future ends it.
//!
//! # Order of layers
//!
//! Place it outside of a [`TokenLayer`](crate::TokenLayer), so that an attempt after a long wait has a valid token. The errors of
//! that layer are boxed, and need the [closure](ClassifyError) for such errors.
//!
//! # Examples
//!
//! A server that is busy for two seconds, and one that refuses:
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden_client::retry::{RetryEnd, RetryLayer, RetrySummary};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let start = tokio::time::Instant::now();
//! let client = ServiceBuilder::new().layer(RetryLayer::new()).service_fn(move |request: Request<Full<Bytes>>| async move {
//!     let response = match request.uri().path() {
//!         "/busy" if start.elapsed() < Duration::from_secs(2) => {
//!             Response::builder().status(StatusCode::TOO_MANY_REQUESTS).header("retry-after", "2").body(())
//!         }
//!         "/refused" => Response::builder().status(StatusCode::FORBIDDEN).body(()),
//!         _ => Ok(Response::new(())),
//!     };
//!     Ok::<_, Infallible>(response.unwrap())
//! });
//!
//! let busy = client.clone().oneshot(Request::get("/busy").body(Full::default()).unwrap()).await.unwrap();
//! assert_eq!(busy.status(), StatusCode::OK);
//! let summary = busy.extensions().get::<RetrySummary>().unwrap();
//! assert_eq!((summary.attempts(), summary.waited()), (2, Duration::from_secs(2)));
//!
//! let refused = client.oneshot(Request::get("/refused").body(Full::default()).unwrap()).await.unwrap();
//! assert_eq!(refused.status(), StatusCode::FORBIDDEN);
//! let summary = refused.extensions().get::<RetrySummary>().unwrap();
//! assert_eq!((summary.attempts(), summary.end()), (1, RetryEnd::Final));
//! # }
//! ```

pub use self::{
    failure::{BySource, ClassifyError, ConnectionFailure, RetryCause},
    layer::RetryLayer,
    policy::RetryPolicy,
    service::{ResponseFuture, RetryRequests},
    summary::{Retry, RetryEnd, RetrySummary},
};

mod backoff;
mod failure;
mod layer;
mod policy;
mod service;
mod summary;
