//! Signed requests and responses.
