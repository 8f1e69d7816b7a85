//! The service behind every layer that admits or refuses requests.
//!
//! A [`Gate`] gives the head of a request to its [`Check`]. If the check decides at once, the gate calls the inner
//! service, which [`poll_ready`](tower_service::Service::poll_ready) has made ready, or returns the refusal. If the
//! check decides later, a clone of the inner service is made ready once the request is admitted. What the ready one
//! has reserved is given back at once in this case, and after a refusal.
//!
//! A check that panics refuses the request with 500.

pub(crate) use self::check::sealed;
#[cfg(feature = "body")]
pub(crate) use self::future::poll_verdict;
#[cfg(any(feature = "audit", feature = "stream"))]
pub(crate) use self::response::discard;
#[cfg(any(feature = "body", feature = "rate-limit"))]
pub(crate) use self::response::panicked;
#[cfg(feature = "rate-limit")]
pub(crate) use self::response::refuse;
#[cfg(any(feature = "audit", feature = "body", feature = "rate-limit"))]
pub(crate) use self::service::release;
pub use self::{
    check::{Check, Pass},
    future::ResponseFuture,
    response_head::ResponseHead,
    service::Gate,
};

mod check;
mod future;
mod reason;
mod response;
mod response_head;
mod service;
