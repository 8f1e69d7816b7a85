use std::{fmt, net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use tower_layer::Layer;

use super::evidence::{self, Evidence, Scheme};
#[cfg(feature = "dpop")]
use crate::dpop::Dpop;
use crate::{
    Eventual,
    authenticator::{Authenticator, Presented},
    binding::{Binding, KeyProof, KeyProver},
    challenge::Challenge,
    credential::Credential,
    gate::{Check, Gate, Pass, sealed::Sealed},
    head::Head,
    identity::{Anonymous, Identity, Principal, Terms},
    peer::TrustedProxies,
    rejection::{DPOP_NONCE, Rejection, RejectionKind},
    respond::Problem,
    scope::ScopeHierarchy,
    striped::Striped,
    time::{Clock, SystemClock, UnixTime},
};

/// Lets authenticated requests through, with their [`Principal`] in the extensions and their credential marked as
/// sensitive, so that no inner layer prints it.
///
/// Required by default; [`optional`](Self::optional) lets a request without a credential through as well, but never one
/// with a bad credential. Refusals follow RFC 6750 §3.1.
///
/// ```
/// use bytes::Bytes;
/// use http::{HeaderName, Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{Challenge, Principal, api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey}, layer::AuthLayer};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let (_, secret) = keys.mint(NewKey::new("alice")).await?;
///
/// let auth = AuthLayer::new(keys)
///     .challenge(Challenge::new("billing")?)
///     .api_key_header(HeaderName::from_static("x-billing-key"));
/// let service = ServiceBuilder::new().layer(auth).service_fn(async |request: Request<()>| {
///     let caller = request.extensions().get::<Principal>().expect("the layer lets no other request through");
///     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(caller.subject().to_owned())))
/// });
///
/// let good = Request::builder().header("x-billing-key", secret.expose()).body(())?;
/// assert_eq!(service.clone().oneshot(good).await?.status(), 200);
///
/// let none = service.oneshot(Request::new(())).await?;
/// assert_eq!(none.status(), 401);
/// assert_eq!(none.headers()["www-authenticate"], r#"Bearer realm="billing""#);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Deployment caveat
///
/// CORS preflights carry no credential: put the CORS layer outside of this one.
pub struct AuthLayer<R = Problem> {
    authentication: Arc<Authentication>,
    respond: R,
}

impl AuthLayer {
    /// Verifies credentials with one authenticator, or with a tuple of them.
    #[must_use]
    pub fn new(authenticator: impl Authenticator) -> Self {
        let authentication = Authentication {
            authenticator: Arc::new(authenticator),
            binding: None,
            clock: Arc::new(SystemClock),
            presence: Presence::Required,
            prover: None,
            proxies: TrustedProxies::default(),
            terms: Striped::new(Arc::default),
        };
        Self { authentication: Arc::new(authentication), respond: Problem }
    }
}

impl<R> AuthLayer<R> {
    /// Where API keys come besides `Authorization`: `X-API-Key` by default, `None` for nowhere.
    ///
    /// `Authorization` itself is no such place; with it, every request is refused as one with two credentials.
    #[must_use]
    pub fn api_key_header(self, name: impl Into<Option<HeaderName>>) -> Self {
        let name = name.into();
        self.terms(|terms| terms.api_key_header = name)
    }

    /// What refusals tell clients: the realm `api` by default.
    #[must_use]
    pub fn challenge(self, challenge: Challenge) -> Self {
        self.terms(|terms| terms.challenge = Arc::new(challenge))
    }

    /// Tells the time: the machine's by default.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.authentication_mut().clock = Arc::new(clock);
        self
    }

    /// Takes tokens under the scheme `DPoP`, RFC 9449, and verifies the proofs that come along.
    ///
    /// Tokens that are bound to a key are taken under no other scheme, and others not under this one.
    #[cfg(feature = "dpop")]
    #[must_use]
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.authentication_mut().prover = Some(Arc::new(dpop));
        self.terms(|_| {})
    }

    /// Lets a request without any credential through, as nobody: without a [`Principal`].
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.authentication_mut().presence = Presence::Optional;
        self
    }

    /// Makes the body of refusals, those of extractors inside too: [`Problem`] by default. Of several layers around an
    /// extractor, the outermost one makes it.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> AuthLayer<R2> {
        AuthLayer { authentication: self.authentication, respond }
    }

    /// Which scopes imply which.
    #[must_use]
    pub fn scope_hierarchy(self, hierarchy: ScopeHierarchy) -> Self {
        self.terms(|terms| terms.hierarchy = hierarchy)
    }

    /// Refuses credentials that whoever has them may use: 401, also where they are good. Other routes of the app may be
    /// content with less, and ask [`AuthorizeLayer`](super::AuthorizeLayer::sender_constrained) where they are not.
    #[must_use]
    pub fn sender_constrained(mut self, binding: Binding) -> Self {
        self.authentication_mut().binding = Some(binding);
        self
    }

    /// Believes what these proxies say of a client's address: none by default.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.authentication_mut().proxies = proxies;
        self
    }

    fn authentication_mut(&mut self) -> &mut Authentication {
        Arc::make_mut(&mut self.authentication)
    }

    fn terms(mut self, change: impl FnOnce(&mut Terms)) -> Self {
        let mut terms = Terms::clone(self.authentication.terms.mine());
        change(&mut terms);
        if let Some(prover) = &self.authentication.prover {
            terms.challenge = Arc::new(Challenge::clone(&terms.challenge).dpop(prover.algorithms()));
            terms.dpop_challenge = Arc::new(Challenge::clone(&terms.challenge).under_dpop());
        }
        self.authentication_mut().terms = Striped::new(|| Arc::new(terms.clone()));
        self
    }
}

impl<S, R: Clone> Layer<S> for AuthLayer<R> {
    type Service = Gate<S, Authentication, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Arc::clone(&self.authentication), self.respond.clone())
    }
}

impl<R: Clone> Clone for AuthLayer<R> {
    fn clone(&self) -> Self {
        Self { authentication: Arc::clone(&self.authentication), respond: self.respond.clone() }
    }
}

impl<R> fmt::Debug for AuthLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer").field("authentication", &self.authentication).finish_non_exhaustive()
    }
}

/// The check of [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct Authentication {
    authenticator: Arc<dyn Authenticator>,
    binding: Option<Binding>,
    clock: Arc<dyn Clock>,
    presence: Presence,
    prover: Option<Arc<dyn KeyProver>>,
    proxies: TrustedProxies,
    /// The same for each thread.
    terms: Striped<Arc<Terms>>,
}

#[derive(Clone, Copy, Debug)]
enum Presence {
    Optional,
    Required,
}

impl Sealed for Authentication {}

impl Check for Authentication {
    type Pass = Admitted;

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<Admitted, Rejection>> {
        let credential = match Credential::find(head, self.terms.mine().api_key_header.as_ref()) {
            Ok(Some(Credential::Dpop(_))) if self.prover.is_none() => {
                return self.refuse(Rejection::new(RejectionKind::Missing, "unsupported_scheme"));
            }
            Ok(Some(credential)) if self.authenticator.accepts(&credential) => credential,
            Ok(Some(credential)) => {
                let rejection = Rejection::new(RejectionKind::Invalid, "credential_not_accepted");
                return Eventual::Now(Err(self.challenged(rejection, Scheme::of(&credential))));
            }
            Ok(None) if self.takes_certificate(head) => Credential::Certificate,
            Ok(None) => return self.absent(head),
            Err(rejection) => return self.refuse(rejection),
        };
        let now = self.clock.now();
        let evidence = Evidence::of(head, &credential, self.prover.as_deref());
        match self.authenticator.authenticate(&Presented::new(credential, *head, now)) {
            Eventual::Now(verdict) => self.settle(verdict, now, &evidence, || self.proxies.client(head)),
            Eventual::Later(verdict) => {
                let (this, client) = (Arc::clone(self), self.proxies.client(head));
                // What the authenticator asks.
                Eventual::later(async move { this.settle(verdict.await, now, &evidence, || client).wait().await })
            }
        }
    }
}

impl Authentication {
    fn absent(&self, head: &Head<'_>) -> Eventual<Result<Admitted, Rejection>> {
        match self.presence {
            Presence::Optional => Eventual::Now(Ok(Admitted::anonymous(self.terms.mine()))),
            Presence::Required if Credential::is_in_query(head) => {
                self.refuse(Rejection::new(RejectionKind::Missing, "credential_in_query"))
            }
            Presence::Required => self.refuse(Rejection::new(RejectionKind::Missing, "credential_missing")),
        }
    }

    /// Whether the connection's certificate is what a request without a credential presents.
    fn takes_certificate(&self, head: &Head<'_>) -> bool {
        evidence::thumbprint(head.extensions).is_some() && self.authenticator.accepts(&Credential::Certificate)
    }

    fn refuse(&self, rejection: Rejection) -> Eventual<Result<Admitted, Rejection>> {
        Eventual::Now(Err(self.challenged(rejection, Scheme::Other)))
    }

    fn challenged(&self, rejection: Rejection, scheme: Scheme) -> Rejection {
        let terms = self.terms.mine();
        rejection.challenge(match scheme {
            Scheme::Dpop => &terms.dpop_challenge,
            Scheme::Other => &terms.challenge,
        })
    }

    fn settle(
        self: &Arc<Self>,
        verdict: Result<Arc<Identity>, Rejection>,
        now: UnixTime,
        evidence: &Evidence,
        client: impl FnOnce() -> Option<IpAddr>,
    ) -> Eventual<Result<Admitted, Rejection>> {
        let scheme = evidence.scheme();
        let examined = verdict.and_then(|identity| {
            let proof = self.examine(&identity, now, evidence, client)?;
            Ok((identity, proof))
        });
        match (examined, self.prover.as_deref()) {
            (Ok((identity, None)), _) => Eventual::Now(Ok(Admitted::principal(self.vouch(identity, now)))),
            (Ok((identity, Some(proof))), Some(prover)) => {
                let this = Arc::clone(self);
                prover.spend(&proof, now).map(move |spent| match spent {
                    Ok(()) => Ok(Admitted::principal(this.vouch(identity, now)).nonce(proof.nonce)),
                    Err(rejection) => Err(this.challenged(rejection, scheme)),
                })
            }
            (Ok((_, Some(_))), None) => {
                Eventual::Now(Err(Rejection::new(RejectionKind::Internal, "key_prover_missing")))
            }
            (Err(rejection), _) => Eventual::Now(Err(self.challenged(rejection, scheme))),
        }
    }

    /// What makes an [`Identity`] good, on every request: expiry, binding, then networks.
    fn examine(
        &self,
        identity: &Identity,
        now: UnixTime,
        evidence: &Evidence,
        client: impl FnOnce() -> Option<IpAddr>,
    ) -> Result<Option<KeyProof>, Rejection> {
        if identity.expires_at.is_some_and(|end| end + identity.skew <= now) {
            return Err(Rejection::new(RejectionKind::Invalid, "expired"));
        }
        let proof = evidence.confirm(identity.confirmation.as_ref(), now)?;
        if let Some(binding) = self.binding {
            let unbound = |reason| Rejection::new(RejectionKind::Invalid, reason);
            binding.check(identity.confirmation.as_ref()).map_err(unbound)?;
        }
        if !identity.networks.is_empty() {
            let client = client().ok_or_else(|| Rejection::new(RejectionKind::Invalid, "peer_unknown"))?;
            if !identity.networks.iter().any(|network| network.contains(client)) {
                return Err(Rejection::new(RejectionKind::Invalid, "network_forbidden"));
            }
        }
        Ok(proof)
    }

    /// The one way from [`Identity`] to [`Principal`], once it was examined.
    fn vouch(&self, identity: Arc<Identity>, now: UnixTime) -> Principal {
        if let Some(witness) = &identity.on_admission {
            witness.admitted(now);
        }
        Principal::vouched(identity, Arc::clone(self.terms.mine()), now)
    }
}

/// What [`AuthLayer`] leaves on a request.
#[derive(Debug)]
pub struct Admitted {
    caller: Option<Caller>,
    nonce: Option<HeaderValue>,
}

#[derive(Debug)]
enum Caller {
    Anonymous(Anonymous),
    Known(Principal),
}

impl Admitted {
    fn anonymous(terms: &Terms) -> Self {
        Self { caller: Some(Caller::Anonymous(Anonymous::new(&terms.challenge))), nonce: None }
    }

    const fn principal(principal: Principal) -> Self {
        Self { caller: Some(Caller::Known(principal)), nonce: None }
    }

    /// What the client is told to put into its next proof.
    fn nonce(mut self, nonce: Option<HeaderValue>) -> Self {
        self.nonce = nonce;
        self
    }
}

impl Sealed for Admitted {}

impl Pass for Admitted {
    fn admit<B>(&mut self, request: &mut Request<B>) {
        match self.caller.take() {
            None => {}
            Some(Caller::Anonymous(anonymous)) => {
                // An outer layer's principal is not this layer's.
                request.extensions_mut().remove::<Principal>();
                request.extensions_mut().insert(anonymous);
            }
            Some(Caller::Known(principal)) => {
                principal.conceal(request.headers_mut());
                request.extensions_mut().insert(principal);
            }
        }
    }

    fn decorate(&mut self, headers: &mut HeaderMap) {
        if let Some(nonce) = self.nonce.take() {
            headers.insert(DPOP_NONCE, nonce);
            // RFC 9449 §8.2: a cache would hand out a nonce that is too old.
            headers.insert(header::CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
        }
    }
}
