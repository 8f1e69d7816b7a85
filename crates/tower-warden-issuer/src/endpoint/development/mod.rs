//! The authorization code grant without accounts, for development. To remove it, delete this folder and what refers to
//! `development`.

#[cfg(feature = "client-documents")]
pub use self::documents::ClientDocuments;
pub(crate) use self::{client::CodeClient, state::Development};
pub(in crate::endpoint) use self::{
    client::{identify, public_client},
    state::{Endpoint, check, respond},
};
pub use self::{
    consent::{AutoConsent, ConsentRequest},
    profile::ClientProfile,
};

mod access;
mod authorize;
mod client;
mod client_metadata;
mod clients;
mod codes;
mod consent;
#[cfg(feature = "client-documents")]
mod documents;
mod profile;
mod redeem;
mod redirect;
mod registration;
mod state;

pub(in crate::endpoint) use self::redeem::respond as redeem;
