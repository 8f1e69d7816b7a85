//! The endpoints.

#[cfg(feature = "client-documents")]
pub use self::development::ClientDocuments;
pub use self::{
    development::{AutoConsent, ClientProfile, ConsentRequest},
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
