//! The tests, in one binary because linking is slow.
//!
//! Numbers such as (115) refer to the numbered list of hostile inputs.
#![allow(clippy::print_stdout, clippy::unwrap_used, unreachable_pub)]

mod acl;
#[path = "../../../../tests/suite/async_functions.rs"]
mod async_functions;
#[cfg(feature = "cluster")]
mod cluster;
mod conformance;
mod cut_off;
mod futures;
mod isolation;
mod keys;
mod limits;
mod namespaces;
mod nodes;
mod problems;
mod proofs;
mod refunds;
mod revocations;
#[cfg(feature = "sentinel")]
mod sentinels;
mod server;
mod support;
#[cfg(feature = "tls")]
mod tls;
