use std::{fmt, ops::Deref};

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::delivery::Delivery;
use crate::refusal::Rejection;

/// Extracts the verified body of a webhook, deserialized from JSON. It dereferences to the value.
///
/// Only requests that a [`WebhookLayer`](super::WebhookLayer) has verified have one: without the layer, the response is 500. A
/// body that does not fit the type is refused with 400. See the [module docs](super) for an example.
#[derive(Clone)]
pub struct Webhook<T> {
    delivery: Delivery,
    event: T,
}

impl<T> Webhook<T> {
    /// The delivery: the id, the timestamp, and the bytes that were verified.
    #[must_use]
    pub const fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Returns the value.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.event
    }
}

impl<T> Deref for Webhook<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.event
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Webhook<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let delivery = Delivery::of(&parts.extensions)?;
        Ok(Self { event: delivery.json()?, delivery: delivery.clone() })
    }
}

/// Extracts the delivery of a verified webhook.
impl<S: Sync> FromRequestParts<S> for Delivery {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Self::of(&parts.extensions).cloned()
    }
}

/// The value is not shown.
impl<T> fmt::Debug for Webhook<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}
