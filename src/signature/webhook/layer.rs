use std::fmt;

use tower_layer::Layer;

use super::verifier::WebhookVerifier;
use crate::{
    body::{BodyCheckLayer, BodyGate},
    refusal::Problem,
};

/// Admits webhooks whose signature is valid, with the [`Delivery`](super::Delivery) in the extensions and the same body.
///
/// See the [module docs](super).
pub struct WebhookLayer<R = Problem>(BodyCheckLayer<R>);

impl WebhookLayer {
    /// Verifies requests with this verifier.
    #[must_use]
    pub fn new(verifier: WebhookVerifier) -> Self {
        Self(BodyCheckLayer::new(verifier))
    }
}

impl<R> WebhookLayer<R> {
    /// Sets what makes the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> WebhookLayer<R2> {
        WebhookLayer(self.0.respond_with(respond))
    }
}

impl<S, R: Clone> Layer<S> for WebhookLayer<R> {
    type Service = BodyGate<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        self.0.layer(inner)
    }
}

impl<R: Clone> Clone for WebhookLayer<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> fmt::Debug for WebhookLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookLayer").finish_non_exhaustive()
    }
}
