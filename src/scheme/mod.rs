//! How requests carry credentials, and how refusals ask for them.

pub use self::{challenge::Challenge, credential::Credential};

mod challenge;
mod credential;
