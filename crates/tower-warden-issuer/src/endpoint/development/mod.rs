//! The authorization code grant without accounts, for development. To remove it, delete this folder and what refers to
//! `development`.

pub use self::consent::{AutoConsent, ConsentRequest};
pub(crate) use self::{client::CodeClient, state::Development};
pub(in crate::endpoint) use self::{
    client::identify,
    state::{Endpoint, respond},
};

mod access;
mod authorize;
mod client;
mod codes;
mod consent;
mod redeem;
mod redirect;
mod state;

pub(in crate::endpoint) use self::redeem::respond as redeem;
