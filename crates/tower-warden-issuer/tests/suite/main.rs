//! The issuer, its clients and keys, through its endpoints.
#![allow(clippy::unwrap_used)]

mod assertions;
mod authorization;
mod binding;
mod claims;
mod client_authentication;
mod client_credentials;
mod code_support;
mod codes;
mod delegation;
mod documents;
mod forms;
mod introspection;
mod key_rotation;
mod refresh;
mod refresh_bounds;
mod revocation;
mod secrecy;
mod support;
mod token_exchange;
mod trusted_issuers;
