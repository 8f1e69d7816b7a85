//! Extensions of `tower-warden` from outside of it.

pub mod file_store;
pub mod gateway_proof;
pub mod hmac_scheme;
pub mod revoked_ids;
