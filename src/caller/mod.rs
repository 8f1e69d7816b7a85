//! Callers: what an authenticator asserts of one, and the principal that was admitted.

pub use self::{
    confirmation::{Binding, Confirmation, Proof},
    identity::{Actor, AuthMethod, Identity, Principal},
};
pub(crate) use self::{
    confirmation::{KeyDemand, KeyProof, KeyProver},
    identity::{Anonymous, OnAdmission, Terms, caller as of},
};

mod confirmation;
mod identity;
