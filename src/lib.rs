//! stub docs
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use self::{
    authenticator::{Authenticator, Presented},
    challenge::Challenge,
    credential::Credential,
    digest::Digest,
    error::{ConfigError, ConfigErrorKind, Unavailable},
    eventual::Eventual,
    head::Head,
    identity::{Actor, AuthMethod, Identity, Principal},
    policy::Policy,
    rejection::{Rejection, RejectionKind},
    time::{Clock, ManualClock, SystemClock, UnixTime},
};

// floor 0: words
mod authenticator;
mod challenge;
mod credential;
mod digest;
mod error;
mod eventual;
mod head;
mod identity;
mod log;
pub mod peer;
mod rejection;
pub mod scope;
mod time;

// floor 1: means
#[cfg(feature = "api-key")]
pub mod api_key;
#[cfg(feature = "api-key")]
mod cache;
mod policy;

// floor 2: the gate
pub mod gate;
pub mod respond;

// floor 3: what users stack
pub mod layer;

// floor 4: edges
#[cfg(feature = "axum")]
pub mod axum;
