use super::verifier::Dpop;
use crate::{
    auth::{AuthLayer, CredentialSource},
    jwt::Algorithm,
    scheme::{ChallengeLine, ChallengeRequest, CredentialKind, Location, Scheme},
};

pub(super) const NAME: &str = "DPoP";

/// Tokens under `Authorization: DPoP` ([RFC 9449 §7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)).
#[derive(Clone, Debug)]
pub(super) struct DpopScheme {
    /// The value of the parameter `algs`.
    algorithms: Box<str>,
}

impl DpopScheme {
    pub(super) fn new(algorithms: &[Algorithm]) -> Self {
        // Clients know Ed25519 by one of two names.
        let names = algorithms.iter().flat_map(|algorithm| {
            let alias = (*algorithm == Algorithm::EdDSA).then_some("Ed25519");
            [Some(algorithm.as_str()), alias].into_iter().flatten()
        });
        Self { algorithms: names.collect::<Vec<_>>().join(" ").into() }
    }
}

impl Scheme for DpopScheme {
    fn name(&self) -> &str {
        NAME
    }

    fn kind(&self) -> CredentialKind {
        CredentialKind::AccessToken
    }

    fn locations(&self) -> Vec<Location> {
        vec![Location::authorization(NAME)]
    }

    fn challenge(&self, request: &ChallengeRequest<'_>) -> Option<ChallengeLine> {
        let mut line = ChallengeLine::new(NAME);
        if let Some(needed) = request.error.and_then(|error| error.needed) {
            line = line.parameter("scope", &needed.to_string());
        }
        Some(line.error(request.error.as_ref()).parameter("algs", &self.algorithms))
    }

    /// Follows Bearer, whose challenge has the parameters that clients without DPoP read.
    fn challenge_order(&self) -> u16 {
        50
    }
}

impl<R> AuthLayer<R> {
    /// Accepts tokens under the scheme `DPoP` ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)), and verifies their
    /// proofs.
    ///
    /// Tokens that are bound to a key are accepted under no other scheme, and other tokens not under this one. Of several
    /// calls, the last one applies.
    #[must_use]
    pub fn dpop(self, dpop: Dpop) -> Self {
        self.caller(|caller| caller.dpop(dpop))
    }
}

impl CredentialSource {
    /// Accepts tokens under the scheme `DPoP`: see [`AuthLayer::dpop`].
    pub fn dpop(self, dpop: Dpop) -> Self {
        // Two verifiers with one replay guard would refuse every proof as a replay.
        self.without_proofs_of(NAME).scheme(dpop.scheme()).proof(dpop)
    }
}
