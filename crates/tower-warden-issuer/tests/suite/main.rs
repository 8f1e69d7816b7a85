//! The issuer, its clients and keys, through its endpoints.
#![allow(clippy::unwrap_used)]

mod assertions;
mod binding;
mod claims;
mod client_authentication;
mod client_credentials;
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
