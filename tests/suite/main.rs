//! The tests, in one binary because linking is slow.
//!
//! Numbers such as (53) are those of the bad inputs in the project's list.
#![allow(clippy::print_stdout, clippy::unwrap_used, unreachable_pub)]

mod api_keys;
mod authorize;
mod credential;
mod extractors;
mod fence;
mod gate;
mod key_routes;
mod networks;
mod nodes;
mod postgres;
mod quotas;
mod rate_fields;
mod rate_limits;
mod redis_keys;
mod redis_limits;
mod redis_server;
mod refusals;
mod scopes;
mod secrets;
mod server;
mod servers;
mod sql;
mod sqlite;
mod support;
mod usage;
