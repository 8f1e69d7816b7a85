use std::{fmt, sync::Arc, time::Duration};

use super::{
    key::{KEY_CACHE_CAPACITY, KeyCache},
    nonce::Nonces,
    proof::{DpopProof, invalid_proof},
    public_url::{PathRewrite, PublicUrl, check_prefix},
    scheme::{self, DpopScheme},
};
use crate::{
    Eventual,
    auth::{PresentedProof, ProofOfPossession, VerifiedProof},
    caller::ConfirmationMethod,
    error::{ConfigError, ConfigErrorKind},
    jwt::Algorithm,
    log,
    metadata::ProtectedResourceMetadata,
    reason::Reason,
    refusal::Rejection,
    replay::{MemoryReplayGuard, Recorder, ReplayGuard, ReplayReasons, UsedProof},
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
    recorder: Recorder,
    pub(super) requirements: Arc<Requirements>,
    resource: Option<Arc<ProtectedResourceMetadata>>,
}

/// The requirements for every proof.
#[derive(Clone)]
pub(super) struct Requirements {
    pub(super) algorithms: Vec<Algorithm>,
    /// The keys of earlier proofs.
    pub(super) keys: KeyCache,
    pub(super) nonces: Option<Nonces>,
    pub(super) path_rewrite: Option<PathRewrite>,
    pub(super) public_urls: Vec<PublicUrl>,
    window: Option<Window>,
    /// The window by default, without nonces.
    without_nonce: Window,
}

/// The accepted range of `iat`, relative to the time of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) past: Duration,
    pub(super) future: Duration,
}

impl Window {
    /// Wide, because the nonce limits the age of a proof, whatever the client's clock.
    const WITH_NONCE: Self = Self { past: Duration::from_secs(3600), future: Duration::from_secs(3600) };
    const LONGEST_WITHOUT_NONCE: Self = Self { past: Duration::from_secs(300), future: Duration::from_secs(300) };
    const WITHOUT_NONCE: Self = Self { past: Duration::from_secs(300), future: Duration::from_secs(30) };
}

impl Dpop {
    /// A verifier of proofs for this public URL, such as the resource identifier: the origin, and the path if all requests
    /// have it in common. See [`path_rewrite`](Self::path_rewrite) for proxies that change paths, and
    /// [`for_resource`](Self::for_resource) if the resource has metadata.
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL, or has a query, a fragment or a user name; `http` is accepted for a loopback host.
    pub fn new(public_url: &str) -> Result<Self, ConfigError> {
        Ok(Self::of(PublicUrl::parse(public_url)?))
    }

    pub(super) fn of(public_url: PublicUrl) -> Self {
        let algorithms = vec![Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256];
        let requirements = Requirements {
            algorithms,
            keys: KeyCache::new(KEY_CACHE_CAPACITY),
            nonces: None,
            path_rewrite: None,
            public_urls: vec![public_url],
            window: None,
            without_nonce: Window::WITHOUT_NONCE,
        };
        let recorder = Recorder::new(MemoryReplayGuard::default(), &REASONS);
        Self { recorder, requirements: Arc::new(requirements), resource: None }
    }

    /// Sets the allowed algorithms of proofs: ES256, ES384, EdDSA, PS256 and RS256 by default.
    ///
    /// # Errors
    ///
    /// If the list is empty or contains a symmetric algorithm
    /// ([RFC 9449 §11.6](https://www.rfc-editor.org/rfc/rfc9449#section-11.6)), or ML-DSA: with its key, such a proof has 6 to
    /// 11 KB, and a header field is not read beyond 8 KiB.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Result<Self, ConfigError> {
        let algorithms: Vec<_> = algorithms.into_iter().collect();
        let message = "proofs have one or more asymmetric algorithms other than ML-DSA";
        let refused = || ConfigError::new(ConfigErrorKind::Dpop, message);
        let is_ml_dsa = |known| matches!(known, Algorithm::MlDsa44 | Algorithm::MlDsa65 | Algorithm::MlDsa87);
        if let Some(other) = algorithms.iter().find(|known| known.is_symmetric() || is_ml_dsa(**known)) {
            return Err(refused().value(other.as_str()));
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

    /// Accepts proofs for this public URL as well, at which the same API is available.
    ///
    /// # Errors
    ///
    /// See [`new`](Self::new).
    pub fn public_url(mut self, url: &str) -> Result<Self, ConfigError> {
        let url = PublicUrl::parse(url)?;
        self.requirements_mut().public_urls.push(url);
        Ok(self)
    }

    /// Sets what a proxy does to the paths of requests: declare it if a public URL has a path.
    ///
    /// By default, a path that begins with that of the public URL was not changed, and from any other the proxy has removed it.
    /// With `https://api.example.com/mcp`, a request for `/x` and one for `/mcp/x` then have proofs for the same URL, so that a
    /// proof for one is valid for the other if both are routes. [`AuthLayer::dpop`](crate::layer::AuthLayer::dpop) logs a
    /// warning in this case. After [`PathRewrite::Unchanged`] or [`PathRewrite::PrefixRemoved`], each path has one URL.
    ///
    /// # Errors
    ///
    /// If an added prefix does not begin with a slash, is only a slash, or is not normalised.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::dpop::{Dpop, PathRewrite};
    ///
    /// // A request to https://api.example.com/orders arrives as /internal/orders.
    /// let dpop = Dpop::new("https://api.example.com")?.path_rewrite(PathRewrite::PrefixAdded("/internal".into()))?;
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    pub fn path_rewrite(mut self, rewrite: PathRewrite) -> Result<Self, ConfigError> {
        let rewrite = match rewrite {
            PathRewrite::PrefixAdded(prefix) => PathRewrite::PrefixAdded(check_prefix(&prefix)?),
            rewrite => rewrite,
        };
        self.requirements_mut().path_rewrite = Some(rewrite);
        Ok(self)
    }

    /// Sets the guard that records used proofs: a [`MemoryReplayGuard`] by default.
    #[must_use]
    pub fn replay_guard(mut self, guard: impl ReplayGuard) -> Self {
        self.recorder = Recorder::new(guard, &REASONS);
        self
    }

    /// Sets how far in the past and in the future the time of a proof (`iat`) may be, in whole seconds: 300 and 30 by
    /// default.
    ///
    /// If [`nonces`](Self::nonces) were set before, both are one hour by default and at most: a proof with a fresh nonce was
    /// made after the nonce was issued, so the nonce decides its age, and clients whose clock is wrong can use the API. Such a
    /// proof is valid for no longer than its nonce.
    ///
    /// Proofs may have the claims `exp` and `nbf`. An `nbf` may be as far in the future as `iat`. Without nonces, a proof whose
    /// `exp` has passed is refused; with nonces, `exp` may be as far in the past as `iat`, because the same clock wrote both.
    ///
    /// # Errors
    ///
    /// If `past` or `future` is more than 300 seconds
    /// ([RFC 9449 §11.1](https://www.rfc-editor.org/rfc/rfc9449#section-11.1): proofs have a short lifetime); with nonces, if
    /// one of them is more than one hour.
    pub fn window(mut self, past: Duration, future: Duration) -> Result<Self, ConfigError> {
        let (longest, message) = if self.requirements.nonces.is_some() {
            (Window::WITH_NONCE, "with nonces, a window of proofs is up to one hour in the past and in the future")
        } else {
            let message = "a window of proofs is up to 300 seconds in the past and in the future; after `Dpop::nonces`, \
                           `Dpop::window` accepts up to one hour";
            (Window::LONGEST_WITHOUT_NONCE, message)
        };
        if past > longest.past || future > longest.future {
            return Err(ConfigError::new(ConfigErrorKind::Dpop, message).value(format_args!("{past:?}, {future:?}")));
        }
        self.requirements_mut().window = Some(Window { past, future });
        Ok(self)
    }

    /// Accepts clocks of clients that differ by five minutes, as the DPoP profile of MCP does, unless a window or nonces are set.
    #[cfg(feature = "mcp")]
    pub(crate) fn with_five_minutes(mut self) -> Self {
        self.requirements_mut().without_nonce = Window::LONGEST_WITHOUT_NONCE;
        self
    }

    pub(super) fn with_resource(mut self, metadata: ProtectedResourceMetadata) -> Self {
        self.resource = Some(Arc::new(metadata));
        self
    }

    pub(super) fn resource(&self) -> Option<&ProtectedResourceMetadata> {
        self.resource.as_deref()
    }

    /// The allowed algorithms of proofs.
    #[must_use]
    pub fn allowed_algorithms(&self) -> &[Algorithm] {
        &self.requirements.algorithms
    }

    pub(super) fn scheme(&self) -> DpopScheme {
        DpopScheme::new(&self.requirements.algorithms)
    }

    /// Warns if it is not declared whether a proxy changes paths, and two paths may have proofs for one URL.
    pub(super) fn warn_of_undeclared_rewrite(&self) {
        let Requirements { path_rewrite, public_urls, .. } = &*self.requirements;
        if path_rewrite.is_none() && public_urls.iter().any(PublicUrl::has_path) {
            log::warning!(
                "a public URL of DPoP proofs has a path: with and without it, a request's path has the same proofs; declare by \
                 Dpop::path_rewrite whether a proxy removes it"
            );
        }
    }

    fn requirements_mut(&mut self) -> &mut Requirements {
        Arc::make_mut(&mut self.requirements)
    }
}

impl Requirements {
    pub(super) fn window(&self) -> Window {
        let default = if self.nonces.is_some() { Window::WITH_NONCE } else { self.without_nonce };
        self.window.unwrap_or(default)
    }

    /// The longest time for which a proof is valid.
    fn longest_validity(&self) -> Duration {
        let Window { past, future } = self.window();
        self.nonces.as_ref().map_or(past + future, |nonces| nonces.lifetime().min(past + future))
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
            PresentedProof::Unverified(Box::new(DpopProof::read(&self.requirements, head, Some(credential.text()))))
        } else {
            PresentedProof::Absent
        }
    }

    fn mark_used(&self, proof: &VerifiedProof, now: UnixTime) -> Eventual<Result<(), Rejection>> {
        let Some((id, until)) = proof.single_use else { return Eventual::Now(Ok(())) };
        let window = self.requirements.longest_validity();
        let used = UsedProof::new(proof.thumbprint, id, until, now).with_window(window);
        self.recorder.record(&used, invalid_proof)
    }

    #[cfg(feature = "audit")]
    fn observed_by(&self, observer: &Arc<dyn crate::notice::Observer>) {
        self.recorder.observed_by(observer);
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Requirements { algorithms, nonces, path_rewrite, public_urls, .. } = &*self.requirements;
        f.debug_struct("Dpop")
            .field("algorithms", algorithms)
            .field("nonces", nonces)
            .field("path_rewrite", path_rewrite)
            .field("public_urls", public_urls)
            .field("window", &self.requirements.window())
            .finish_non_exhaustive()
    }
}

static REASONS: ReplayReasons = ReplayReasons {
    replayed: Reason::DPOP_REPLAY,
    key_full: Reason::DPOP_REPLAY_KEY_FULL,
    full: Reason::DPOP_REPLAY_FULL,
    unavailable: Reason::DPOP_REPLAY_UNAVAILABLE,
};
