use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{check::BodyCheck, service::BodyGate};
use crate::refusal::{Problem, Responder};

/// Admits requests whose body passes a [check](BodyCheck), and passes the identical body on.
///
/// See the [module docs](super), also for the layer's place in a stack.
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::post};
/// use tower_warden::{
///     Reason, Rejection, RejectionKind,
///     body::BufferedRequest,
///     layer::BodyCheckLayer,
/// };
///
/// let is_text = |request: &BufferedRequest<'_>| match std::str::from_utf8(request.body) {
///     Ok(_) => Ok(()),
///     Err(_) => Err(Rejection::new(RejectionKind::BodyInvalid, Reason::custom("body_not_utf8"))),
/// };
/// let app: Router = Router::new()
///     .route("/notes", post(async |note: String| note))
///     .layer(BodyCheckLayer::new(is_text));
/// ```
pub struct BodyCheckLayer<R = Problem> {
    check: Arc<dyn BodyCheck>,
    respond: Responder<R>,
}

impl BodyCheckLayer {
    /// Inspects bodies with a check.
    #[must_use]
    pub fn new(check: impl BodyCheck) -> Self {
        Self { check: Arc::new(check), respond: Responder::default() }
    }
}

impl<R> BodyCheckLayer<R> {
    /// Sets what makes the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> BodyCheckLayer<R2> {
        BodyCheckLayer { check: self.check, respond: Responder::set(respond) }
    }
}

impl<S, R: Clone> Layer<S> for BodyCheckLayer<R> {
    type Service = BodyGate<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        BodyGate::new(inner, Arc::clone(&self.check), self.respond.clone())
    }
}

impl<R: Clone> Clone for BodyCheckLayer<R> {
    fn clone(&self) -> Self {
        Self { check: Arc::clone(&self.check), respond: self.respond.clone() }
    }
}

impl<R> fmt::Debug for BodyCheckLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyCheckLayer").finish_non_exhaustive()
    }
}
