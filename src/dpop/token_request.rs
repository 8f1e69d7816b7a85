//! Proofs of requests for tokens, at the authorization server.

use super::{
    proof::{self, DpopProof},
    verifier::Dpop,
};
use crate::{auth::PresentedProof, request::Head};

impl Dpop {
    /// Reads the proof of a request for a token, at the token endpoint of an authorization server
    /// ([RFC 9449 §5](https://www.rfc-editor.org/rfc/rfc9449#section-5)): there is no access token yet, so `ath` is not
    /// compared.
    ///
    /// The caller verifies the proof, marks it as used by [`mark_used`](crate::auth::ProofOfPossession::mark_used), and binds the token
    /// to its thumbprint.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{Head, UnixTime, auth::PresentedProof, dpop::Dpop};
    ///
    /// let dpop = Dpop::new("https://auth.example.com")?;
    /// let request = http::Request::post("/oauth/token").body(())?;
    /// assert!(matches!(dpop.read_token_request(&Head::from(&request)), PresentedProof::Absent));
    ///
    /// let request = http::Request::post("/oauth/token").header("dpop", "not a proof").body(())?;
    /// let PresentedProof::Unverified(proof) = dpop.read_token_request(&Head::from(&request)) else { unreachable!() };
    /// assert!(proof.verify(UnixTime::from_secs(1_800_000_000)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn read_token_request(&self, head: &Head<'_>) -> PresentedProof {
        if proof::is_present(head) {
            PresentedProof::Unverified(Box::new(DpopProof::read(&self.requirements, head, None)))
        } else {
            PresentedProof::Absent
        }
    }
}
