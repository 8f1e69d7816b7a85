//! The endpoints.

pub(crate) use self::error::OAuthError;
pub use self::service::{IssuerService, ResponseFuture};

mod authenticate;
mod client_credentials;
mod error;
mod form;
mod refresh_token;
mod response;
mod service;
mod target;
mod token;
