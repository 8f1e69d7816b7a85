use http::HeaderName;

use super::verifier::Dpop;
use crate::{
    auth::{AuthLayer, CredentialSource},
    caller::SenderConstraint,
    jwt::Algorithm,
    scheme::{ChallengeLine, ChallengePosition, ChallengeRequest, CredentialKind, Location, Scheme},
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
        Self { algorithms: names(algorithms).join(" ").into() }
    }
}

/// The names of algorithms. Clients know Ed25519 by one of two.
pub(super) fn names(algorithms: &[Algorithm]) -> Vec<&'static str> {
    let names = algorithms.iter().flat_map(|algorithm| {
        let alias = (*algorithm == Algorithm::EdDSA).then_some("Ed25519");
        [Some(algorithm.as_str()), alias].into_iter().flatten()
    });
    names.collect()
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

    /// A proof in a log can be replayed for as long as it is valid, where its replay guard does not know it.
    fn sensitive_fields(&self) -> Vec<HeaderName> {
        vec![HeaderName::from_static("dpop")]
    }

    fn challenge(&self, request: &ChallengeRequest<'_>) -> Option<ChallengeLine> {
        let mut line = ChallengeLine::new(NAME);
        let mut scope = request.error.and_then(|error| error.needed);
        // RFC 9728 §5.1. After Bearer, whose challenge has them, clients would read them twice.
        if request.position == ChallengePosition::First {
            scope = request.scope;
            if let Some(url) = request.resource_metadata {
                line = line.parameter("resource_metadata", url);
            }
        }
        if let Some(scope) = scope {
            line = line.parameter("scope", &scope.to_string());
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
    /// calls, the last one applies. What [`sender_constrained`](Self::sender_constrained) requires applies as well.
    ///
    /// The challenge of the layer is that of the resource, if the verifier is [of one](Dpop::for_resource).
    #[must_use]
    pub fn dpop(self, dpop: Dpop) -> Self {
        let challenge = dpop.metadata().map(|metadata| metadata.challenge());
        let layer = self.caller(|caller| caller.dpop(dpop));
        match challenge {
            Some(challenge) => layer.challenge(challenge),
            None => layer,
        }
    }
}

impl CredentialSource {
    /// Accepts tokens under the scheme `DPoP`: see [`AuthLayer::dpop`].
    pub fn dpop(self, dpop: Dpop) -> Self {
        dpop.warn_of_undeclared_rewrite();
        // Two verifiers with one replay guard would refuse every proof as a replay.
        let source = self.without_proofs_of(NAME).scheme(dpop.scheme());
        source.constrained_by_scheme(dpop.is_required().then_some(SenderConstraint::Key)).proof(dpop)
    }
}
