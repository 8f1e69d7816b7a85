//! The issuer, its clients and keys, through its endpoints.
#![allow(clippy::unwrap_used)]

mod assertions;
mod binding;
mod claims;
mod client_authentication;
mod client_credentials;
mod client_records;
mod documents;
mod encrypted_keys;
mod forms;
mod introspection;
mod key_rotation;
mod made_up_tokens;
mod refresh;
mod refresh_bounds;
mod revocation;
mod secrecy;
mod stored_keys;
mod support;
