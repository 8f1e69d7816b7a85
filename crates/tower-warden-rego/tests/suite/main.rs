//! Tests of policies in Rego, behind the layers of tower-warden.
#![allow(clippy::print_stdout, clippy::unwrap_used, unreachable_pub)]

mod decisions;
mod differential;
mod input;
mod limits;
mod logging;
mod mcp;
mod reload;
mod support;
