use std::{fmt, sync::Arc};

use http::HeaderName;
use tower_layer::Layer;

use super::{
    authentication::{Authentication, Presence},
    authenticator::Authenticator,
};
#[cfg(feature = "dpop")]
use crate::dpop::Dpop;
use crate::{
    caller::Binding,
    caller::Terms,
    gate::Gate,
    refusal::Problem,
    request::TrustedProxies,
    revocation::RevocationList,
    scheme::Challenge,
    scope::ScopeHierarchy,
    striped::Striped,
    time::{Clock, SystemClock},
};

/// Lets authenticated requests through, with their [`Principal`](crate::Principal) in the extensions and their credential
/// marked as sensitive, so that no inner layer prints it.
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

    /// Takes tokens under the scheme `DPoP`, RFC 9449, and verifies the proofs that come along.
    ///
    /// Tokens that are bound to a key are taken under no other scheme, and others not under this one.
    #[cfg(feature = "dpop")]
    #[must_use]
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.authentication_mut().prover = Some(Arc::new(dpop));
        self.terms(|_| {})
    }

    /// Lets a request without any credential through, as nobody: without a [`Principal`](crate::Principal).
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

    /// Refuses credentials that whoever has them may use: 401, also where they are good. Other routes of the app may be
    /// content with less, and ask [`AuthorizeLayer`](crate::layer::AuthorizeLayer::sender_constrained) where they are not.
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
