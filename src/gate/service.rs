use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    check::{Check, Pass as _},
    future::ResponseFuture,
    response::{panicked, refuse},
};
use crate::{
    Eventual,
    refusal::{Problem, Respond, Responder},
    request::Head,
};

/// Calls the inner service for admitted requests, and responds to refused ones itself.
///
/// See the [module docs](super).
///
/// # Examples
///
/// The service of a layer gives access to the inner service:
///
/// ```
/// use tower::Layer;
/// use tower_warden::{
///     api_key::{ApiKeys, KeyFormat, MemoryKeyStore},
///     layer::AuthLayer,
/// };
///
/// #[derive(Clone)]
/// struct App {
///     name: &'static str,
/// }
///
/// let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
/// let mut gate = AuthLayer::new(keys).layer(App { name: "billing" });
/// assert_eq!(gate.get_ref().name, "billing");
/// gate.get_mut().name = "invoices";
/// assert_eq!(gate.into_inner().name, "invoices");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
pub struct Gate<S, C, R = Problem> {
    inner: S,
    check: Arc<C>,
    respond: Responder<R>,
}

impl<S, C, R> Gate<S, C, R> {
    pub(crate) const fn new(inner: S, check: Arc<C>, respond: Responder<R>) -> Self {
        Self { inner, check, respond }
    }

    /// Returns a reference to the inner service.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    #[must_use]
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, R, ReqBody, ResBody> Service<Request<ReqBody>> for Gate<S, C, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    C: Check,
    R: Respond<ResBody>,
    ReqBody: 'static,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, C::Pass, R, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let verdict = catch_unwind(AssertUnwindSafe(|| self.check.check(&Head::from(&request))));
        match verdict.unwrap_or_else(|_| Eventual::Now(Err(panicked()))) {
            Eventual::Now(Ok(mut pass)) => {
                pass.admit(&mut request);
                ResponseFuture::calling(&mut self.inner, request, pass, self.respond.clone())
            }
            Eventual::Now(Err(rejection)) => {
                release(&mut self.inner);
                ResponseFuture::refused(refuse(rejection, request, &self.respond), self.respond.clone())
            }
            Eventual::Later(verdict) => {
                release(&mut self.inner);
                ResponseFuture::undecided(verdict, request, self.inner.clone(), self.respond.clone())
            }
        }
    }
}

/// Gives back what the service has reserved in `poll_ready`: a request that waits or is refused must not hold it, since
/// others could use it. Clones are not ready, by the contract of tower.
pub(crate) fn release<S: Clone>(ready: &mut S) {
    let clone = ready.clone();
    *ready = clone;
}

impl<S: Clone, C, R: Clone> Clone for Gate<S, C, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), check: Arc::clone(&self.check), respond: self.respond.clone() }
    }
}

impl<S: fmt::Debug, C, R> fmt::Debug for Gate<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("inner", &self.inner).finish_non_exhaustive()
    }
}
