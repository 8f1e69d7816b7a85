//! Refused requests: why, and how they are answered.

pub(crate) use self::{
    rejection::DPOP_NONCE,
    respond::{PROBLEM_JSON, problem_json},
};
pub use self::{
    rejection::{Rejection, RejectionKind},
    respond::{EmptyBody, Problem, Respond},
};

mod rejection;
mod respond;
