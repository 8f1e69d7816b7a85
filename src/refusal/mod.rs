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
//!
//! # One format for the whole application
//!
//! Set [`Respond`] on the outermost layer of this crate with `respond_with`. It makes the bodies of all refusals inside: of
//! layers without one of their own, of extractors, and of `key_routes`. A layer inside that has one of its own keeps it for its
//! own refusals. A response that a handler makes of a [`Rejection`] itself, with [`Rejection::apply_to`], stays as it is.
//!
//! For gRPC services, [`GrpcStatus`] responds as [the protocol](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)
//! prescribes.

pub(crate) use self::responder::Responder;
pub use self::{
    body::{RefusalBodies, RefusalBody, RefusalBodyFuture, RefusalBodyLayer},
    grpc::GrpcStatus,
    kind::RejectionKind,
    problem::Problem,
    rejection::Rejection,
    respond::{EmptyBody, Respond, respond_fn},
};

mod apply;
mod body;
mod grpc;
mod kind;
mod problem;
mod reason;
mod rejection;
mod respond;
mod responder;
