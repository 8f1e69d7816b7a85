//! The endpoints.

pub use self::{
    development::{AutoConsent, ConsentRequest},
    service::{IssuerService, ResponseFuture},
};
pub(crate) use self::{
    development::{CodeClient, Development},
    error::OAuthError,
    presented::own_tokens,
};

mod authenticate;
mod binding;
mod client_credentials;
mod development;
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
