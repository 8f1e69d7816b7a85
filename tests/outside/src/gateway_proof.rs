//! A proof of possession that a gateway has verified and left in the request's extensions.

use tower_warden::{
    Digest, Head,
    auth::{PresentedProof, ProofOfPossession},
    caller::ConfirmationMethod,
    scheme::Credential,
};

/// The thumbprint of the hardware key that has signed the request.
#[derive(Clone, Debug)]
pub struct SignedBy(pub Digest);

/// Proves the member `hwk` of `cnf`.
#[derive(Debug)]
pub struct GatewayProof;

impl GatewayProof {
    pub const METHOD: ConfirmationMethod = ConfirmationMethod::custom("hwk");
}

impl ProofOfPossession for GatewayProof {
    fn method(&self) -> ConfirmationMethod {
        Self::METHOD
    }

    fn read(&self, head: &Head<'_>, _: &Credential<'_>) -> PresentedProof {
        match head.extensions.get::<SignedBy>() {
            Some(SignedBy(thumbprint)) => PresentedProof::Verified(*thumbprint),
            None => PresentedProof::Absent,
        }
    }
}
