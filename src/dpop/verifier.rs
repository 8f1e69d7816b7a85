use std::{fmt, sync::Arc, time::Duration};

use super::{
    demand::{self, Demand},
    key::{KNOWN, KnownKeys},
    nonce::Nonces,
    target::Base,
};
use crate::{
    Eventual,
    auth::{AuthLayer, CredentialSource, PresentedProof, ProofOfPossession, VerifiedProof},
    caller::ConfirmationMethod,
    error::{ConfigError, ConfigErrorKind, Unavailable},
    jwt::Algorithm,
    log::{self, Causes},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    replay::{MemoryReplayGuard, ReplayGuard, ReplayVerdict, UsedProof},
    request::Head,
    scheme::{ChallengeLine, ChallengeRequest, Credential, CredentialKind, Location, Scheme},
    time::UnixTime,
};

/// Verifies DPoP proofs. See the [module docs](super).
///
/// Clones share everything: let all layers of an API have clones of one, so that a proof counts once for all of them.
#[derive(Clone)]
pub struct Dpop {
    guard: Arc<dyn ReplayGuard>,
    rules: Arc<Rules>,
}

/// What every proof is held to.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) base: Base,
    pub(super) known: KnownKeys,
    pub(super) nonces: Option<Nonces>,
    names: Box<str>,
    window: Option<Window>,
}

/// How old a proof may be, and how far ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) past: Duration,
    pub(super) future: Duration,
}

impl Window {
    /// Where a nonce says how old a proof is, clocks need agree less about it.
    const WITH_NONCE: Self = Self { past: Duration::from_secs(60), future: Duration::from_secs(10) };
    const WITHOUT: Self = Self { past: Duration::from_secs(300), future: Duration::from_secs(30) };
}

impl Dpop {
    /// Proofs for this public URL: an origin, and the prefix that a proxy takes away if there is one.
    ///
    /// # Errors
    ///
    /// If it is no `https` URL, or has a query, a fragment or a user; `http` is accepted for a loopback host.
    pub fn new(public_url: &str) -> Result<Self, ConfigError> {
        let algorithms = vec![Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256];
        let (base, names) = (Base::parse(public_url)?, names(&algorithms));
        let rules = Rules { algorithms, base, known: KnownKeys::new(KNOWN), nonces: None, names, window: None };
        Ok(Self { guard: Arc::new(MemoryReplayGuard::default()), rules: Arc::new(rules) })
    }

    /// With which algorithms proofs may be signed: ES256, ES384, EdDSA, PS256 and RS256 by default.
    ///
    /// # Errors
    ///
    /// If there is none, or a symmetric one (RFC 9449 §11.6).
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Result<Self, ConfigError> {
        let algorithms: Vec<_> = algorithms.into_iter().collect();
        if algorithms.is_empty() || algorithms.iter().any(|algorithm| algorithm.is_symmetric()) {
            let message = "proofs are signed with asymmetric algorithms, of which one at least is allowed";
            return Err(ConfigError::new(ConfigErrorKind::Dpop, message));
        }
        let rules = Arc::make_mut(&mut self.rules);
        rules.names = names(&algorithms);
        rules.algorithms = algorithms;
        Ok(self)
    }

    /// Demands a nonce in each proof, so that none can be made in advance (RFC 9449 §11.3). Off by default.
    #[must_use]
    pub fn nonces(mut self, nonces: Nonces) -> Self {
        Arc::make_mut(&mut self.rules).nonces = Some(nonces);
        self
    }

    /// Remembers proofs elsewhere: in memory by default.
    #[must_use]
    pub fn replay_guard(mut self, guard: impl ReplayGuard) -> Self {
        self.guard = Arc::new(guard);
        self
    }

    /// How old a proof may be, and how far ahead its clock, in whole seconds: 300 and 30 by default, 60 and 10 with
    /// nonces.
    ///
    /// # Errors
    ///
    /// If that is more than 300 seconds and 60: RFC 9449 §11.1, the lifetime of a proof is short.
    pub fn window(mut self, past: Duration, future: Duration) -> Result<Self, ConfigError> {
        if past > Duration::from_secs(300) || future > Duration::from_secs(60) {
            let message = "a proof is good for 300 seconds at the most, and 60 ahead";
            return Err(ConfigError::new(ConfigErrorKind::Dpop, message));
        }
        Arc::make_mut(&mut self.rules).window = Some(Window { past, future });
        Ok(self)
    }
}

impl Rules {
    pub(super) fn window(&self) -> Window {
        let default = if self.nonces.is_some() { Window::WITH_NONCE } else { Window::WITHOUT };
        self.window.unwrap_or(default)
    }
}

impl ProofOfPossession for Dpop {
    fn method(&self) -> ConfirmationMethod {
        ConfirmationMethod::KEY
    }

    fn is_required_under(&self, scheme: &str) -> bool {
        scheme.eq_ignore_ascii_case(NAME)
    }

    fn read(&self, head: &Head<'_>, credential: &Credential<'_>) -> PresentedProof {
        if self.is_required_under(credential.scheme()) {
            PresentedProof::Unverified(Box::new(Demand::read(&self.rules, head, credential.text())))
        } else {
            PresentedProof::Absent
        }
    }

    fn mark_used(&self, proof: &VerifiedProof, now: UnixTime) -> Eventual<Result<(), Rejection>> {
        let Some((id, until)) = proof.single_use else { return Eventual::Now(Ok(())) };
        match self.guard.spend(&UsedProof::new(proof.thumbprint, id, until, now)) {
            Eventual::Now(verdict) => Eventual::Now(judge(verdict)),
            // The guard's backend.
            Eventual::Later(verdict) => Eventual::later(async move { judge(verdict.await) }),
        }
    }
}

const NAME: &str = "DPoP";

/// Tokens under `Authorization: DPoP` ([RFC 9449 §7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1)).
#[derive(Clone, Debug)]
struct DpopScheme {
    algorithms: Box<str>,
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

    /// After Bearer, which has all that clients look for.
    fn challenge_order(&self) -> u16 {
        50
    }
}

impl<R> AuthLayer<R> {
    /// Accepts tokens under the scheme `DPoP` ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)), and verifies their
    /// proofs.
    ///
    /// Tokens that are bound to a key are accepted under no other scheme, and other tokens not under this one.
    #[must_use]
    pub fn dpop(self, dpop: Dpop) -> Self {
        self.scheme(dpop.scheme()).proof(dpop)
    }
}

impl CredentialSource {
    /// Accepts tokens under the scheme `DPoP`: see [`AuthLayer::dpop`].
    pub fn dpop(self, dpop: Dpop) -> Self {
        self.scheme(dpop.scheme()).proof(dpop)
    }
}

impl Dpop {
    fn scheme(&self) -> DpopScheme {
        DpopScheme { algorithms: self.rules.names.clone() }
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { algorithms, base, nonces, .. } = &*self.rules;
        f.debug_struct("Dpop")
            .field("algorithms", algorithms)
            .field("base", base)
            .field("nonces", nonces)
            .field("window", &self.rules.window())
            .finish_non_exhaustive()
    }
}

fn judge(verdict: Result<ReplayVerdict, Unavailable>) -> Result<(), Rejection> {
    match verdict {
        Ok(ReplayVerdict::New) => Ok(()),
        Ok(ReplayVerdict::Replayed) => Err(demand::invalid_proof(Reason::DPOP_REPLAY)),
        // Nothing that was seen is forgotten before its time: what cannot be remembered is refused.
        Ok(ReplayVerdict::KeyFull) => Err(demand::invalid_proof(Reason::DPOP_REPLAY_KEY_FULL)),
        Ok(ReplayVerdict::Full) => {
            log::warning!("no more DPoP proofs can be remembered; the request is answered with 503");
            Err(Rejection::new(RejectionKind::Unavailable, Reason::DPOP_REPLAY_FULL))
        }
        Err(error) => {
            log::warning!(error = %Causes(&error), "a DPoP proof was not remembered; the request is answered with 503");
            Err(Rejection::new(RejectionKind::Unavailable, Reason::DPOP_REPLAY_UNAVAILABLE))
        }
    }
}

/// As a challenge names them; clients look for Ed25519 under either of its names.
fn names(algorithms: &[Algorithm]) -> Box<str> {
    let names = algorithms.iter().flat_map(|algorithm| {
        let other = (*algorithm == Algorithm::EdDSA).then_some("Ed25519");
        [Some(algorithm.as_str()), other].into_iter().flatten()
    });
    names.collect::<Vec<_>>().join(" ").into()
}
