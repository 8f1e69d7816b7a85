//! The issuer, its clients and keys, through its endpoints.
#![allow(clippy::unwrap_used)]

mod agent_api;
mod api_keys;
mod assertion_limits;
mod assertions;
mod authorization;
mod binding;
mod claims;
mod client_authentication;
mod client_certificates;
mod client_credentials;
#[cfg(feature = "client-documents")]
mod client_documents;
mod client_records;
mod code_senders;
mod code_support;
mod codes;
mod delegation;
#[cfg(feature = "client-documents")]
mod document_hosts;
mod documents;
mod encrypted_keys;
mod exchanged_audience;
mod forms;
mod introspection;
mod jwt_bearer;
mod key_rotation;
mod made_up_tokens;
#[cfg(feature = "audit")]
mod observed;
mod refresh;
mod refresh_bounds;
mod registration;
mod revocation;
mod secrecy;
mod silent_store;
mod stored_keys;
mod support;
mod token_exchange;
mod trusted_issuers;
mod used_once;
