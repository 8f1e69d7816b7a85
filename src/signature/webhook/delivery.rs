use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::Extensions;
use serde::de::DeserializeOwned;

use crate::{
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    time::UnixTime,
};

/// A request whose signature was verified: its body byte for byte, with its id and its timestamp.
///
/// Only a [`WebhookVerifier`](super::WebhookVerifier) makes one. Behind a [`WebhookLayer`](super::WebhookLayer) it is in the
/// request's extensions, and an extractor of axum. Its [`Debug`](fmt::Debug) shows the size of the body, not its bytes.
#[derive(Clone)]
pub struct Delivery {
    id: Option<Arc<str>>,
    timestamp: Option<UnixTime>,
    body: Bytes,
}

impl Delivery {
    pub(super) const fn new(id: Option<Arc<str>>, timestamp: Option<UnixTime>, body: Bytes) -> Self {
        Self { id, timestamp, body }
    }

    /// The delivery in the extensions of a request.
    ///
    /// # Errors
    ///
    /// 500 if there is no [`WebhookLayer`](super::WebhookLayer) around the handler.
    pub fn of(extensions: &Extensions) -> Result<&Self, Rejection> {
        extensions.get().ok_or_else(|| {
            log::error!("WebhookLayer is missing around this route, or inside of it; responding with 500");
            Rejection::new(RejectionKind::Internal, Reason::WEBHOOK_LAYER_MISSING)
        })
    }

    /// The id, such as `webhook-id`: the same for each attempt to deliver a message. `None` if the scheme has none.
    ///
    /// Somebody who relays the request can change an id that the signature does not cover: that of GitHub, `X-GitHub-Delivery`, and
    /// that of a [custom](crate::signature::payload::PayloadScheme::custom) scheme without `{id}` in its template.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The time of the signature; `None` if the scheme has none.
    #[must_use]
    pub const fn timestamp(&self) -> Option<UnixTime> {
        self.timestamp
    }

    /// The body. Cloning it does not copy the bytes.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Deserializes the body from JSON.
    ///
    /// # Errors
    ///
    /// 400 if it is not JSON, or does not fit the type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let place = format_args!("line {}, column {}", error.line(), error.column());
            Rejection::new(RejectionKind::BodyInvalid, Reason::WEBHOOK_JSON).with_explanation(place)
        })
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.id)
            .field("timestamp", &self.timestamp)
            .field("bytes", &self.body.len())
            .finish()
    }
}
