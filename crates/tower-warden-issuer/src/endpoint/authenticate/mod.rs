//! The authentication of clients.

pub(super) use self::client::{AuthenticatedClient, authenticate, authenticate_agent, authenticate_for_token};

mod assertion;
mod certificate;
mod client;
mod credential;
mod key_owner;
mod secret;
