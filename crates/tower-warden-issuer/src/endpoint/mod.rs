//! The endpoints.

pub use self::service::{IssuerService, ResponseFuture};
pub(crate) use self::{
    delegation::{MayAct, act},
    error::OAuthError,
    presented::own_tokens,
};

mod authenticate;
mod binding;
mod client_credentials;
mod delegation;
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
mod token_exchange;
