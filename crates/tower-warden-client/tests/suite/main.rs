//! The client: tokens, secrets, keys, and the layers, with servers within the process.
#![allow(clippy::unwrap_used)]

#[cfg(feature = "aws")]
mod aws;
mod cached;
mod checklist;
mod clients;
mod credentials;
mod credentials_config;
mod credentials_status;
mod dpop;
mod faults;
mod fuzz;
mod grants;
mod grpc;
mod layer;
mod mcp_headers;
mod origins;
#[cfg(feature = "signature")]
mod payload_signature;
mod polling;
mod refresh;
mod retry;
mod retry_limits;
mod rotated_keys;
mod rotation;
mod scoped_keys;
mod secrecy;
mod secret_files;
mod secrets;
mod server;
#[cfg(feature = "signature")]
mod signature;
mod step_up;
mod stores;
mod support;
mod vault;
