//! The layer that adds tokens to requests.

use std::{error::Error, fmt, num::NonZeroU32, sync::Arc};

use http::Uri;
use tower_layer::Layer;
use tower_warden::{Clock, ConfigError, Environment, SystemClock, scope::Scopes};

pub use self::{future::ResponseFuture, service::Authorized};
use self::{settings::Settings, step_up::StepUps};
use crate::{Origin, Token, TokenSource, replay::ReplayCloned};

mod call;
mod future;
mod head;
mod refusal;
mod refused;
mod service;
mod settings;
mod step_up;

type BoxError = Box<dyn Error + Send + Sync>;

/// Adds a token to each request, and acts on its refusal, over any `Service<http::Request<B>>` that is `Clone`: the
/// client of hyper-util, a channel of tonic, and with the feature `reqwest` a `ReqwestClient`.
///
/// - **One origin.** Requests for any other origin than the declared one fail with
///   [`TokenErrorKind::Origin`](crate::TokenErrorKind::Origin), and are not sent. A redirect is returned to the caller.
///   The fields that carry the token and its proof are marked as sensitive, and replace fields of the same name.
/// - **401.** If the error is `invalid_token`, or if there is no error code, the token is
///   [invalidated](TokenSource::invalidate), and the request is sent once more with a new one. Without a new one, the
///   caller receives the response.
/// - **401 `use_dpop_nonce`.** The request is sent once more with the nonce, which is kept for its origin.
/// - **403** is returned to the caller, unless [`step_up`](Self::step_up) is configured.
/// - **gRPC.** The codes `UNAUTHENTICATED` and `PERMISSION_DENIED` of a response without messages count as 401 and 403.
///
/// Requests are repeated only if their body can be copied: see [`replay`](crate::replay). The error is that of the
/// inner service, or a [`TokenError`](crate::TokenError), which `downcast_ref` finds.
///
/// # Deployment caveat
///
/// The inner service must not follow redirects: a client that does may send fields other than `Authorization` to any
/// host. The client of hyper-util and `ReqwestClient` follow none.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_warden_client::{TokenError, TokenErrorKind, TokenLayer, grant::StaticKey};
///
/// let client = service_fn(async |request: Request<Full<Bytes>>| {
///     assert!(request.headers()["authorization"].is_sensitive());
///     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
/// });
/// let client = TokenLayer::new(StaticKey::bearer("s3cret")?, "https://api.example.com")?.layer(client);
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let get = |url: &str| Request::get(url).body(Full::<Bytes>::default()).expect("a request");
/// let response = client.clone().oneshot(get("https://api.example.com/orders")).await.expect("a response");
/// assert_eq!(response.status(), 200);
///
/// let error = client.oneshot(get("https://evil.example/")).await.unwrap_err();
/// let error = error.downcast_ref::<TokenError>().expect("an error of the layer");
/// assert_eq!(error.kind(), TokenErrorKind::Origin);
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct TokenLayer<P = ReplayCloned> {
    replay: P,
    settings: Arc<Settings>,
}

impl TokenLayer {
    /// Adds tokens of this source to requests for this origin, such as `https://api.example.com`.
    ///
    /// # Errors
    ///
    /// See [`Origin::parse`].
    pub fn new(source: impl TokenSource, origin: &str) -> Result<Self, ConfigError> {
        let origin = Origin::parse(origin)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let (refused, source) = (Arc::default(), Arc::new(source));
        let settings = Settings { clock, completion: None, origin, refused, source, step_ups: None };
        Ok(Self { replay: ReplayCloned, settings: Arc::new(settings) })
    }
}

impl<P> TokenLayer<P> {
    /// Sets the clock.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.settings_mut().clock = environment.clock();
        self
    }

    /// Sets how bodies are copied: by `Clone` by default.
    pub fn replay<Q>(self, replay: Q) -> TokenLayer<Q> {
        TokenLayer { replay, settings: self.settings }
    }

    /// Completes URLs without a host, as those of clients of tonic, with the declared origin.
    ///
    /// The inner service decides where such a request is sent: use it only with a connection to that origin.
    pub fn complete_relative_urls(mut self) -> Self {
        let settings = self.settings_mut();
        settings.completion = Some(Uri::try_from(settings.origin.to_string()).unwrap_or_default());
        self
    }

    /// Requests a token with more scopes after 403 `insufficient_scope`, and sends the request once more: with the
    /// scopes of the challenge and those that were granted before.
    ///
    /// After success, the next requests use these scopes as well, until the authorization server refuses them. `max` limits
    /// the failed attempts for each set of scopes. Without known scopes of the token, from its response or the request, none
    /// are added.
    ///
    /// The API chooses the scopes. Use it only for APIs that may receive whatever the authorization server grants to this
    /// client, or with tokens that are valid at this API only (their audience); otherwise
    /// [`step_up_within`](Self::step_up_within).
    pub fn step_up(mut self, max: NonZeroU32) -> Self {
        self.settings_mut().step_ups = Some(Arc::new(StepUps::new(max, None)));
        self
    }

    /// Steps up as [`step_up`](Self::step_up) does, for challenges that name no other scopes than these. Others are returned
    /// to the caller.
    pub fn step_up_within(mut self, max: NonZeroU32, allowed: Scopes) -> Self {
        self.settings_mut().step_ups = Some(Arc::new(StepUps::new(max, Some(allowed))));
        self
    }

    /// Returns whether the API has refused this token, and accepted none since then.
    pub(crate) fn has_refused(&self, token: &Token) -> bool {
        self.settings.refused.is(token)
    }

    fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl<S, P: Clone> Layer<S> for TokenLayer<P> {
    type Service = Authorized<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Authorized::new(inner, self.replay.clone(), Arc::clone(&self.settings))
    }
}

impl<P> fmt::Debug for TokenLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenLayer").field("origin", &self.settings.origin).finish_non_exhaustive()
    }
}
