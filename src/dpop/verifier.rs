use std::{fmt, sync::Arc, time::Duration};

use super::{
    key::{KEY_CACHE_CAPACITY, KeyCache},
    nonce::Nonces,
    proof::{DpopProof, invalid_proof},
    public_url::PublicUrl,
    scheme::{self, DpopScheme},
};
use crate::{
    Eventual,
    auth::{PresentedProof, ProofOfPossession, VerifiedProof},
    caller::ConfirmationMethod,
    error::{ConfigError, ConfigErrorKind, Unavailable},
    jwt::Algorithm,
    log::{self, Causes},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    replay::{MemoryReplayGuard, ReplayGuard, ReplayVerdict, UsedProof},
    request::Head,
    scheme::Credential,
    time::UnixTime,
};

/// Verifies DPoP proofs.
///
/// Clones share the record of used proofs: give clones of one `Dpop` to all layers of an API, so that a proof is accepted
/// once by all of them together. See the [module docs](super).
#[derive(Clone)]
pub struct Dpop {
    guard: Arc<dyn ReplayGuard>,
    requirements: Arc<Requirements>,
}

/// The requirements for every proof.
#[derive(Clone)]
pub(super) struct Requirements {
    pub(super) algorithms: Vec<Algorithm>,
    /// The keys of earlier proofs.
    pub(super) keys: KeyCache,
    pub(super) nonces: Option<Nonces>,
    pub(super) public_url: PublicUrl,
    window: Option<Window>,
}

/// The accepted range of `iat`, relative to the time of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) past: Duration,
    pub(super) future: Duration,
}

impl Window {
    /// Narrower, because the nonce limits the age of a proof independently of the client's clock.
    const WITH_NONCE: Self = Self { past: Duration::from_secs(60), future: Duration::from_secs(10) };
    const WITHOUT_NONCE: Self = Self { past: Duration::from_secs(300), future: Duration::from_secs(30) };
}

impl Dpop {
    /// A verifier of proofs for this public URL: the origin, and the path prefix if a proxy removes one.
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL, or has a query, a fragment or a user name; `http` is accepted for a loopback host.
    pub fn new(public_url: &str) -> Result<Self, ConfigError> {
        let algorithms = vec![Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256];
        let requirements = Requirements {
            algorithms,
            keys: KeyCache::new(KEY_CACHE_CAPACITY),
            nonces: None,
            public_url: PublicUrl::parse(public_url)?,
            window: None,
        };
        Ok(Self { guard: Arc::new(MemoryReplayGuard::default()), requirements: Arc::new(requirements) })
    }

    /// Sets the allowed algorithms of proofs: ES256, ES384, EdDSA, PS256 and RS256 by default.
    ///
    /// # Errors
    ///
    /// If the list is empty or contains a symmetric algorithm
    /// ([RFC 9449 §11.6](https://www.rfc-editor.org/rfc/rfc9449#section-11.6)).
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Result<Self, ConfigError> {
        let algorithms: Vec<_> = algorithms.into_iter().collect();
        let refused = || ConfigError::new(ConfigErrorKind::Dpop, "proofs have one or more asymmetric algorithms");
        if let Some(symmetric) = algorithms.iter().find(|algorithm| algorithm.is_symmetric()) {
            return Err(refused().value(symmetric.as_str()));
        }
        if algorithms.is_empty() {
            return Err(refused());
        }
        self.requirements_mut().algorithms = algorithms;
        Ok(self)
    }

    /// Requires a nonce in each proof, so that proofs cannot be made in advance
    /// ([RFC 9449 §11.3](https://www.rfc-editor.org/rfc/rfc9449#section-11.3)). Not required by default.
    #[must_use]
    pub fn nonces(mut self, nonces: Nonces) -> Self {
        self.requirements_mut().nonces = Some(nonces);
        self
    }

    /// Sets the guard that records used proofs: a [`MemoryReplayGuard`] by default.
    #[must_use]
    pub fn replay_guard(mut self, guard: impl ReplayGuard) -> Self {
        self.guard = Arc::new(guard);
        self
    }

    /// Sets how far in the past and in the future the time of a proof (`iat`) may be, in whole seconds: 300 and 30 by
    /// default, 60 and 10 with nonces.
    ///
    /// # Errors
    ///
    /// If `past` is more than 300 seconds or `future` more than 60
    /// ([RFC 9449 §11.1](https://www.rfc-editor.org/rfc/rfc9449#section-11.1): proofs have a short lifetime).
    pub fn window(mut self, past: Duration, future: Duration) -> Result<Self, ConfigError> {
        if past > Duration::from_secs(300) || future > Duration::from_secs(60) {
            let message = "a window of proofs is up to 300 seconds in the past and up to 60 in the future";
            return Err(ConfigError::new(ConfigErrorKind::Dpop, message).value(format_args!("{past:?}, {future:?}")));
        }
        self.requirements_mut().window = Some(Window { past, future });
        Ok(self)
    }

    pub(super) fn scheme(&self) -> DpopScheme {
        DpopScheme::new(&self.requirements.algorithms)
    }

    fn requirements_mut(&mut self) -> &mut Requirements {
        Arc::make_mut(&mut self.requirements)
    }
}

impl Requirements {
    pub(super) fn window(&self) -> Window {
        let default = if self.nonces.is_some() { Window::WITH_NONCE } else { Window::WITHOUT_NONCE };
        self.window.unwrap_or(default)
    }
}

impl ProofOfPossession for Dpop {
    fn method(&self) -> ConfirmationMethod {
        ConfirmationMethod::KEY
    }

    fn is_required_under(&self, scheme: &str) -> bool {
        scheme.eq_ignore_ascii_case(scheme::NAME)
    }

    fn read(&self, head: &Head<'_>, credential: &Credential<'_>) -> PresentedProof {
        if self.is_required_under(credential.scheme()) {
            PresentedProof::Unverified(Box::new(DpopProof::read(&self.requirements, head, credential.text())))
        } else {
            PresentedProof::Absent
        }
    }

    fn mark_used(&self, proof: &VerifiedProof, now: UnixTime) -> Eventual<Result<(), Rejection>> {
        let Some((id, until)) = proof.single_use else { return Eventual::Now(Ok(())) };
        match self.guard.record(&UsedProof::new(proof.thumbprint, id, until, now)) {
            Eventual::Now(verdict) => Eventual::Now(require_new(verdict)),
            // The guard's store.
            Eventual::Later(verdict) => Eventual::later(async move { require_new(verdict.await) }),
        }
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requirements { algorithms, nonces, public_url, .. } = &*self.requirements;
        f.debug_struct("Dpop")
            .field("algorithms", algorithms)
            .field("nonces", nonces)
            .field("public_url", public_url)
            .field("window", &self.requirements.window())
            .finish_non_exhaustive()
    }
}

/// Refuses a proof that the guard does not report as new.
fn require_new(verdict: Result<ReplayVerdict, Unavailable>) -> Result<(), Rejection> {
    match verdict {
        Ok(ReplayVerdict::New) => Ok(()),
        Ok(ReplayVerdict::Replayed) => Err(invalid_proof(Reason::DPOP_REPLAY)),
        // No recorded proof is removed before it expires, so a proof that cannot be recorded is refused.
        Ok(ReplayVerdict::KeyFull) => Err(invalid_proof(Reason::DPOP_REPLAY_KEY_FULL)),
        Ok(ReplayVerdict::Full) => {
            log::warning!("the replay guard is full; responding with 503");
            Err(Rejection::new(RejectionKind::Unavailable, Reason::DPOP_REPLAY_FULL))
        }
        Err(error) => {
            log::warning!(error = %Causes(&error), "a DPoP proof could not be recorded; responding with 503");
            Err(Rejection::new(RejectionKind::Unavailable, Reason::DPOP_REPLAY_UNAVAILABLE))
        }
    }
}
