//! The tests, in one binary because linking is slow.
//!
//! Numbers such as (53) are those of the bad inputs in the project's list.
#![allow(clippy::print_stdout, clippy::unwrap_used, unreachable_pub)]

mod acting_for;
mod api_keys;
mod authorize;
mod binding;
mod body;
mod cache_invalidation;
mod certificates;
mod conformance;
mod credential;
mod dpop;
mod endpoint;
mod extractors;
mod forwarded;
mod gate;
mod grpc;
mod introspection;
mod introspection_cache;
mod introspection_endpoint;
mod introspection_server;
mod jwt;
mod jwt_differential;
mod jwt_mutations;
mod jwt_second_look;
mod jwt_vectors;
mod key_endpoints;
mod key_routes;
mod key_sets;
mod key_usage;
mod metadata;
mod networks;
mod observing;
mod pki;
mod probe;
mod quotas;
mod rate_failures;
mod rate_fields;
mod rate_keys;
mod rate_limits;
mod refusals;
mod remote_keys;
mod responders;
mod revocations;
mod scopes;
mod secrets;
mod servers;
mod signing;
mod step_up;
mod support;
mod tokens;
mod uploads;
