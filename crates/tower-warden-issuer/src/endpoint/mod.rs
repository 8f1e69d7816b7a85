//! The endpoints.

#[cfg(feature = "client-documents")]
pub use self::development::ClientDocuments;
pub(crate) use self::{
    delegation::{MayAct, act},
    development::{CodeClient, Development},
    error::OAuthError,
    presented::own_tokens,
};
pub use self::{
    development::{AutoConsent, ClientProfile, ConsentRequest},
    service::{IssuerService, ResponseFuture},
};

mod agent_api;
mod audited;
mod authenticate;
mod binding;
mod client_credentials;
mod delegation;
mod development;
mod error;
mod form;
mod introspect;
mod jwt_bearer;
mod presented;
mod refresh_token;
mod response;
mod revoke;
mod service;
mod target;
mod token;
mod token_exchange;
