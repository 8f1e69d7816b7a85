use std::{fmt, net::IpAddr, sync::Arc};

use http::{HeaderName, Request};
use tower_layer::Layer;

use crate::{
    Eventual,
    authenticator::{Authenticator, Presented},
    binding::Proof,
    challenge::Challenge,
    credential::Credential,
    error::Unavailable,
    gate::{Check, Gate, Pass, sealed::Sealed},
    head::Head,
    identity::{Anonymous, Identity, Principal, Terms},
    log::{self, Chain},
    peer::TrustedProxies,
    rejection::{Rejection, RejectionKind},
    respond::Problem,
    revocation::RevocationList,
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
            clock: Arc::new(SystemClock),
            presence: Presence::Required,
            proxies: TrustedProxies::default(),
            revocations: None,
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

    /// Refuses what this list says was revoked, whatever the kind of the credential: none is asked by default.
    ///
    /// Asked last, on each request, whether the identity is cached or not. A list that does not answer is 503. Of several
    /// calls, the last one counts.
    #[must_use]
    pub fn revocations(mut self, list: impl RevocationList) -> Self {
        self.authentication_mut().revocations = Some(Arc::new(list));
        self
    }

    /// Which scopes imply which.
    #[must_use]
    pub fn scope_hierarchy(self, hierarchy: ScopeHierarchy) -> Self {
        self.terms(|terms| terms.hierarchy = hierarchy)
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
    clock: Arc<dyn Clock>,
    presence: Presence,
    proxies: TrustedProxies,
    revocations: Option<Arc<dyn RevocationList>>,
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
            Ok(Some(credential)) if self.authenticator.accepts(&credential) => credential,
            Ok(Some(_)) => return self.refuse(Rejection::new(RejectionKind::Invalid, "credential_not_accepted")),
            Ok(None) => return self.absent(head),
            Err(rejection) => return self.refuse(rejection),
        };
        let now = self.clock.now();
        match self.authenticator.authenticate(&Presented::new(credential, *head, now)) {
            Eventual::Now(verdict) => self.settle(verdict, now, || self.proxies.client(head)),
            Eventual::Later(verdict) => {
                let (this, client) = (Arc::clone(self), self.proxies.client(head));
                Eventual::later(async move { this.settle(verdict.await, now, || client).wait().await })
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

    fn refuse(&self, rejection: Rejection) -> Eventual<Result<Admitted, Rejection>> {
        Eventual::Now(Err(rejection.challenge(&self.terms.mine().challenge)))
    }

    fn settle(
        self: &Arc<Self>,
        verdict: Result<Arc<Identity>, Rejection>,
        now: UnixTime,
        client: impl FnOnce() -> Option<IpAddr>,
    ) -> Eventual<Result<Admitted, Rejection>> {
        match verdict {
            Ok(identity) => self.vouch(identity, now, client),
            Err(rejection) => self.refuse(rejection),
        }
    }

    /// The one way from [`Identity`] to [`Principal`], on every request: expiry, binding, networks, then revocation.
    fn vouch(
        self: &Arc<Self>,
        identity: Arc<Identity>,
        now: UnixTime,
        client: impl FnOnce() -> Option<IpAddr>,
    ) -> Eventual<Result<Admitted, Rejection>> {
        if let Err(rejection) = examine(&identity, now, client) {
            return self.refuse(rejection);
        }
        let revoked = self.revocations.as_ref().map(|list| list.is_revoked(&identity));
        match revoked.unwrap_or(Eventual::Now(Ok(false))) {
            Eventual::Now(revoked) => Eventual::Now(self.conclude(identity, now, revoked)),
            Eventual::Later(revoked) => {
                let this = Arc::clone(self);
                // The list.
                Eventual::later(async move { this.conclude(identity, now, revoked.await) })
            }
        }
    }

    fn conclude(
        &self,
        identity: Arc<Identity>,
        now: UnixTime,
        revoked: Result<bool, Unavailable>,
    ) -> Result<Admitted, Rejection> {
        let terms = self.terms.mine();
        let refused = |kind, reason| Err(Rejection::new(kind, reason).challenge(&terms.challenge));
        match revoked {
            Ok(false) => {}
            Ok(true) => return refused(RejectionKind::Invalid, "revoked"),
            Err(error) => {
                log::warning!(error = %Chain(&error), "the revocation list did not answer; the request is answered with 503");
                return refused(RejectionKind::Unavailable, "revocations_unavailable");
            }
        }
        if let Some(witness) = &identity.on_admission {
            witness.admitted(now);
        }
        Ok(Admitted::principal(Principal::vouched(identity, Arc::clone(terms), now)))
    }
}

/// What is told by the identity and the request alone.
fn examine(identity: &Identity, now: UnixTime, client: impl FnOnce() -> Option<IpAddr>) -> Result<(), Rejection> {
    if identity.expires_at.is_some_and(|end| end + identity.skew <= now) {
        return Err(Rejection::new(RejectionKind::Invalid, "expired"));
    }
    if let Some(confirmation) = &identity.confirmation {
        // RFC 8705 §3, RFC 9449 §7.2: what a credential is bound to is proved, or the credential is refused.
        let unconfirmed = |reason| Rejection::new(RejectionKind::Invalid, reason);
        confirmation.check(&Proof::default()).map_err(unconfirmed)?;
    }
    if !identity.networks.is_empty() {
        let client = client().ok_or_else(|| Rejection::new(RejectionKind::Invalid, "peer_unknown"))?;
        if !identity.networks.iter().any(|network| network.contains(client)) {
            return Err(Rejection::new(RejectionKind::Invalid, "network_forbidden"));
        }
    }
    Ok(())
}

/// What [`AuthLayer`] leaves on a request.
#[derive(Debug)]
pub struct Admitted(Option<Caller>);

#[derive(Debug)]
enum Caller {
    Anonymous(Anonymous),
    Known(Principal),
}

impl Admitted {
    fn anonymous(terms: &Terms) -> Self {
        Self(Some(Caller::Anonymous(Anonymous::new(&terms.challenge))))
    }

    const fn principal(principal: Principal) -> Self {
        Self(Some(Caller::Known(principal)))
    }
}

impl Sealed for Admitted {}

impl Pass for Admitted {
    fn admit<B>(&mut self, request: &mut Request<B>) {
        match self.0.take() {
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
}
