//! The tests, in one binary because linking is slow.
//!
//! Numbers such as (53) are those of the bad inputs in the project's list.
#![allow(clippy::print_stdout, clippy::unwrap_used, unreachable_pub)]

mod api_keys;
mod authorize;
mod binding;
mod certificates;
mod credential;
mod dpop;
mod endpoint;
mod extractors;
mod fence;
mod forwarded;
mod gate;
mod jwt;
mod key_endpoints;
mod key_routes;
mod key_sets;
mod metadata;
mod networks;
mod nodes;
mod pki;
mod postgres;
mod probe;
mod quotas;
mod rate_failures;
mod rate_fields;
mod rate_keys;
mod rate_limits;
mod redis_keys;
mod redis_limits;
mod redis_proofs;
mod redis_revocations;
mod redis_server;
mod refusals;
mod remote_keys;
mod revocations;
mod scopes;
mod secrets;
mod server;
mod servers;
mod sql;
mod sqlite;
mod step_up;
mod support;
mod tls;
mod tokens;
mod usage;
