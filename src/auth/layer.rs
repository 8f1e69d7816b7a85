use std::{fmt, sync::Arc};

use http::header;
use tower_layer::Layer;

use super::{
    authentication::{Authentication, Presence, Reporting},
    authenticator::Authenticator,
    conceal::ConcealLayer,
    proof::ProofOfPossession,
    source::CredentialSource,
};
use crate::{
    caller::SenderConstraint,
    environment::Environment,
    gate::Gate,
    outage::Outage,
    refusal::{Problem, Responder},
    revocation::RevocationList,
    scheme::{Challenge, Scheme},
    scope::ScopeHierarchy,
    time::SystemClock,
};

/// Admits authenticated requests, with their [`Principal`](crate::Principal) in the extensions, and their credential marked
/// as sensitive so that no inner layer prints it.
///
/// A credential is required by default; an [`optional`](Self::optional) layer admits requests without a credential as well,
/// and never one with an invalid credential. Refusals follow
/// [RFC 6750 §3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1).
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     Challenge, Principal,
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
///     layer::AuthLayer,
///     scheme::{ApiKeyHeader, Location},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let (_, secret) = keys.mint(NewKey::new("alice")).await?;
///
/// let auth = AuthLayer::new(keys)
///     .challenge(Challenge::new("billing")?)
///     .scheme(ApiKeyHeader::from(Location::header("x-billing-key")));
/// let service = ServiceBuilder::new().layer(auth).service_fn(async |request: Request<()>| {
///     let caller = request.extensions().get::<Principal>().expect("the layer admits no other request");
///     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(caller.subject().to_owned())))
/// });
///
/// let valid = Request::builder().header("x-billing-key", secret.expose()).body(())?;
/// assert_eq!(service.clone().oneshot(valid).await?.status(), 200);
///
/// let missing = service.oneshot(Request::new(())).await?;
/// assert_eq!(missing.status(), 401);
/// assert_eq!(missing.headers()["www-authenticate"], r#"Bearer realm="billing""#);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Deployment caveat
///
/// CORS preflights carry no credential: put the CORS layer outside of this one.
///
/// A layer outside that logs header fields, such as `TraceLayer` with `include_headers`, prints credentials: put
/// [`conceal_layer`](Self::conceal_layer) outside of it.
///
/// In axum, the last `.layer` call of a router adds the outermost layer; in a `ServiceBuilder`, the first one does.
///
/// The body of a response needs to be made from bytes. If a layer inside has a body type of its own, such as `TraceLayer` or
/// `CompressionLayer` in the same `ServiceBuilder`, add [`RefusalBodyLayer`](crate::layer::RefusalBodyLayer) in between.
pub struct AuthLayer<R = Problem> {
    pub(super) authentication: Arc<Authentication>,
    respond: Responder<R>,
}

impl AuthLayer {
    /// Verifies credentials with one authenticator, or with a tuple or `Vec` of them, under the schemes that they declare.
    #[must_use]
    pub fn new(authenticator: impl Authenticator) -> Self {
        let authentication = Authentication {
            caller: CredentialSource::new(authenticator),
            clock: Arc::new(SystemClock),
            configuration: Authentication::new_configuration(),
            #[cfg(feature = "audit")]
            observer: None,
            presence: Presence::Required,
            reporting: Reporting::Refusals,
            revocations: None,
            outage: Outage::of("revocation list"),
            subject: None,
        };
        Self { authentication: Arc::new(authentication), respond: Responder::default() }
    }
}

impl<R> AuthLayer<R> {
    /// Sets what refusals tell clients: the realm `api` by default.
    #[must_use]
    pub fn challenge(mut self, challenge: Challenge) -> Self {
        let authentication = self.authentication_mut();
        authentication.subject = authentication.subject.take().map(|subject| subject.challenge(challenge.clone()));
        self.caller(|caller| caller.challenge(challenge))
    }

    /// Uses the clock and, with `audit`, the receiver of notices of an environment. Its trusted proxies are not used: add a
    /// [`ClientAddressLayer`](crate::layer::ClientAddressLayer).
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        let authentication = self.authentication_mut();
        authentication.clock = environment.clock();
        authentication.configuration = Authentication::new_configuration();
        #[cfg(feature = "audit")]
        {
            authentication.observer = environment.observer();
        }
        self
    }

    /// Admits requests without any credential as anonymous: without a [`Principal`](crate::Principal).
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.authentication_mut().presence = Presence::Optional;
        self
    }

    /// Adds a proof of possession, for credentials that are bound by its method.
    ///
    /// A bound credential is refused if no proof of its method is configured.
    #[must_use]
    pub fn proof(self, proof: impl ProofOfPossession) -> Self {
        self.caller(|caller| caller.proof(proof))
    }

    /// Sets what makes the body of refusals: [`Problem`] by default.
    ///
    /// It also makes those of layers inside that have none of their own, of extractors, and of the key routes. Of several layers
    /// that have one, the outermost one makes the body of an extractor's refusal.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> AuthLayer<R2> {
        AuthLayer { authentication: self.authentication, respond: Responder::set(respond) }
    }

    /// Refuses revoked credentials of any kind: no list is queried by default.
    ///
    /// It is queried last, on each request, whether the identity is cached or not. If it does not answer, the layer responds
    /// with 503. Of several calls, the last one applies.
    #[must_use]
    pub fn revocations(mut self, list: impl RevocationList) -> Self {
        let authentication = self.authentication_mut();
        authentication.configuration = Authentication::new_configuration();
        authentication.revocations = Some(Arc::new(list));
        self
    }

    /// Replaces the [scheme](Scheme) of the same name, or adds one.
    #[must_use]
    pub fn scheme(self, scheme: impl Scheme) -> Self {
        self.caller(|caller| caller.scheme(scheme))
    }

    /// Sets which scopes imply which.
    #[must_use]
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        let authentication = self.authentication_mut();
        authentication.subject =
            authentication.subject.take().map(|subject| subject.scope_hierarchy(hierarchy.clone()));
        self.caller(|caller| caller.scope_hierarchy(hierarchy))
    }

    /// Refuses credentials that are not bound to their sender with 401, also if they are valid; the challenges name only schemes
    /// whose credentials can be bound so. Single routes can require it
    /// with [`AuthorizeLayer::sender_constrained`](crate::layer::AuthorizeLayer::sender_constrained) instead.
    ///
    /// Of several calls, all apply. If the caller [acts for](Self::acting_for) a subject, they apply to the
    /// credentials of both.
    #[must_use]
    pub fn sender_constrained(mut self, constraint: SenderConstraint) -> Self {
        let authentication = self.authentication_mut();
        authentication.subject = authentication.subject.take().map(|subject| subject.sender_constrained(constraint));
        self.caller(|caller| caller.sender_constrained(constraint))
    }

    /// Removes the [scheme](Scheme) with this name, which the authenticator declares: credentials are no longer located at its
    /// locations, and refusals do not ask for it.
    ///
    /// # Examples
    ///
    /// An agent's API key in `X-API-Key` alone, so that `Authorization` can carry the token of the user that it
    /// [acts for](Self::acting_for):
    ///
    /// ```
    /// use tower_warden::{
    ///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
    ///     auth::CredentialSource,
    ///     jwt::{Issuer, Jwt},
    ///     layer::AuthLayer,
    ///     scheme::{ApiKeyHeader, Location},
    ///     testing::TestIssuer,
    /// };
    ///
    /// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
    /// let issuer = TestIssuer::new("https://auth.example.com");
    /// let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.example.com")?, issuer.clone());
    ///
    /// // By default, keys are also accepted in `Authorization`, which cannot carry both.
    /// assert!(AuthLayer::new(keys.clone()).acting_for(CredentialSource::new(jwt.clone())).is_err());
    ///
    /// let agent = AuthLayer::new(keys)
    ///     .without_scheme("Bearer")
    ///     .scheme(ApiKeyHeader::from(Location::header("x-api-key")));
    /// let both = agent.acting_for(CredentialSource::new(jwt))?;
    /// # Ok::<(), tower_warden::ConfigError>(())
    /// ```
    #[must_use]
    pub fn without_scheme(self, name: &str) -> Self {
        self.caller(|caller| caller.without_scheme(name))
    }

    /// Puts the [`Principal`](crate::Principal) into the extensions of the response, for a log layer outside.
    ///
    /// By default, only the response to a request that was refused after its authentication has it, such as a 403 or a 429:
    /// every other response would pay for it with three allocations.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use http_body_util::Full;
    /// use tower::{ServiceBuilder, ServiceExt};
    /// use tower_warden::{Principal, api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey}, layer::AuthLayer};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
    /// let (_, key) = keys.mint(NewKey::new("alice")).await?;
    /// let service = ServiceBuilder::new()
    ///     .map_response(|response: Response<Full<Bytes>>| {
    ///         let caller = response.extensions().get::<Principal>();
    ///         println!("{} {}", response.status(), caller.map_or("-", Principal::subject));
    ///         response
    ///     })
    ///     .layer(AuthLayer::new(keys).principal_in_responses())
    ///     .service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    /// let request = Request::builder().header("x-api-key", key.expose()).body(())?;
    /// let response = service.oneshot(request).await?;
    /// assert_eq!(response.extensions().get::<Principal>().map(Principal::subject), Some("alice"));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn principal_in_responses(mut self) -> Self {
        self.authentication_mut().reporting = Reporting::EveryResponse;
        self
    }

    /// Creates the layer that marks all header fields of this layer's credentials as sensitive. Make it the outermost one:
    /// this layer conceals credentials only from layers inside of it.
    #[must_use]
    pub fn conceal_layer(&self) -> ConcealLayer {
        let Authentication { caller, subject, .. } = &*self.authentication;
        let fields = std::iter::once(caller).chain(subject).flat_map(|source| source.schemes().fields()).cloned();
        ConcealLayer::new(fields.chain([header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION]))
    }

    #[cfg(feature = "stream")]
    pub(crate) const fn authentication(&self) -> &Arc<Authentication> {
        &self.authentication
    }

    /// Returns whether JWTs are accepted, and not only API keys, which may be located where tokens are.
    #[cfg(feature = "mcp")]
    pub(crate) fn accepts_tokens(&self) -> bool {
        self.authentication.caller.authenticator.accepts(&crate::scheme::Credential::access_token("e30.e30.e30"))
    }

    pub(super) fn authentication_mut(&mut self) -> &mut Authentication {
        Arc::make_mut(&mut self.authentication)
    }

    pub(crate) fn caller(mut self, change: impl FnOnce(CredentialSource) -> CredentialSource) -> Self {
        let authentication = self.authentication_mut();
        authentication.caller = change(authentication.caller.clone());
        self
    }
}

impl<S, R: Clone> Layer<S> for AuthLayer<R> {
    type Service = Gate<S, Authentication, R>;

    fn layer(&self, inner: S) -> Self::Service {
        // Not by the setters: a proof may be added after the constraint that needs it, and after the environment.
        self.authentication.warn_of_settings();
        #[cfg(feature = "audit")]
        self.authentication.observe();
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
