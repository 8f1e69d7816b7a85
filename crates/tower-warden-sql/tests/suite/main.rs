//! The tests, in one binary because linking is slow.
#![allow(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used, unreachable_pub)]

#[path = "../../../../tests/suite/async_functions.rs"]
mod async_functions;
mod conformance;
mod futures;
#[cfg(feature = "issuer")]
mod issuer;
#[cfg(feature = "postgres")]
mod nodes;
#[cfg(feature = "postgres")]
mod pooler;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "the tests of SQLite use all of it"))]
mod support;
