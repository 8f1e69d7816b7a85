//! The tests, in one binary because linking is slow.
//!
//! Numbers such as (115) refer to the numbered list of hostile inputs.
#![allow(clippy::print_stdout, clippy::unwrap_used, unreachable_pub)]

mod conformance;
mod futures;
mod keys;
mod limits;
mod namespaces;
mod proofs;
mod revocations;
mod server;
mod support;
