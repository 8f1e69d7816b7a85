//! Reasons of refusals of webhooks that are authentic.

use crate::reason::reasons;

reasons! {
    /// The body of a verified webhook is not JSON, or does not fit the type that the handler extracts.
    ///
    /// Look at: the explanation, which names the place in the body, and the version of the sender's events.
    WEBHOOK_JSON = "webhook_json";
    /// There is no `WebhookLayer` around the handler that extracts a webhook.
    ///
    /// Look at: the layers of the route. In axum, a layer covers the routes that were added before it.
    WEBHOOK_LAYER_MISSING = "webhook_layer_missing";
}
