//! Refused requests: why, and how they are answered.
//!
//! A [`Rejection`] is made by a layer, an authenticator, a policy or a handler. Its [kind](RejectionKind) decides what the
//! client gets, its [`Reason`](crate::Reason) what the operator gets. [`Respond`] makes the body; status, challenges,
//! `Retry-After` and `Cache-Control` are set by [`Rejection::apply_to`], whatever makes the body.
//!
//! # Examples
//!
//! ```
//! use bytes::Bytes;
//! use http::Response;
//! use http_body_util::Full;
//! use tower_warden::{Reason, Rejection, RejectionKind, refusal::{Problem, Respond}};
//!
//! let rejection = Rejection::new(RejectionKind::Invalid, Reason::KEY_REVOKED);
//! let response: Response<Full<Bytes>> = Problem.respond(&rejection);
//! assert_eq!(response.headers()["content-type"], "application/problem+json");
//!
//! let terse = |rejection: &Rejection| Response::new(rejection.code().to_owned());
//! assert_eq!(terse.respond(&rejection).into_body(), "invalid_token");
//! ```

#[cfg(all(feature = "api-key", feature = "axum"))]
pub(crate) use self::respond::{PROBLEM_JSON, problem_json};
pub use self::{
    kind::RejectionKind,
    rejection::Rejection,
    respond::{EmptyBody, Problem, Respond},
};

mod kind;
mod reason;
mod rejection;
mod respond;
