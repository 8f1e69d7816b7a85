//! The issuer, its clients and keys, through its endpoints.
#![allow(clippy::unwrap_used)]

mod assertions;
mod claims;
mod client_authentication;
mod client_credentials;
mod documents;
mod forms;
mod key_rotation;
mod refresh;
mod secrecy;
mod support;
