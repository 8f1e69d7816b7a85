//! The endpoints.

pub use self::service::{IssuerService, ResponseFuture};
pub(crate) use self::{error::OAuthError, presented::own_tokens};

mod authenticate;
mod binding;
mod client_credentials;
mod error;
mod form;
mod introspect;
mod presented;
mod refresh_token;
mod response;
mod revoke;
mod service;
mod target;
mod token;
