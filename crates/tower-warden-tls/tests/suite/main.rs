//! Tests over real TLS connections on the loopback interface.
//!
//! Numbers such as (101) refer to the table of hostile inputs in the repository's SECURITY.md.
#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../../../../tests/suite/async_functions.rs"]
mod async_functions;
mod futures;
mod handshakes;
#[path = "../../../../tests/suite/pki.rs"]
mod pki;
mod reload;
mod support;
mod tls;
