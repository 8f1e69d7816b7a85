//! Authentication: from a request's credential to a [`Principal`](crate::Principal).
//!
//! [`AuthLayer`] locates the credential by its [schemes](crate::scheme), lets an [`Authenticator`] verify it, and then checks,
//! on each request: expiry, [possession](ProofOfPossession), networks, [revocation](crate::revocation), and whether a proof
//! was used before. [`CredentialSource`] is the same for a second credential.

#[cfg(feature = "signature")]
pub(crate) use self::few::Few;
pub use self::{
    admitted::Admitted,
    authentication::Authentication,
    authenticator::{Authenticator, Presented},
    conceal::{Conceal, ConcealLayer},
    layer::AuthLayer,
    proof::{PresentedProof, ProofOfPossession, UnverifiedProof, VerifiedProof},
    source::CredentialSource,
};

mod acting_for;
mod admitted;
mod attempt;
mod authentication;
mod authenticator;
mod both;
mod conceal;
mod few;
mod layer;
mod proof;
mod reason;
#[cfg(feature = "stream")]
mod recheck;
mod source;
