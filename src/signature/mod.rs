//! Signed requests and responses.

pub mod bound;
pub mod payload;
pub mod webhook;
