//! The schemes of common senders.

use http::HeaderName;

use super::{
    scheme::{Format, PairNames, PayloadScheme, TimestampField, TimestampUnit, refused},
    template::Template,
};
use crate::error::ConfigError;

impl PayloadScheme {
    /// `X-Signature-Timestamp` and `X-Signature-Ed25519: <hex>` over `<timestamp><body>`
    /// ([Discord](https://docs.discord.com/developers/interactions/overview)), by the [public key](super::PayloadKey::discord) of the
    /// application.
    ///
    /// Nothing separates the timestamp from the body. A body that is empty, or begins with a digit, is refused: otherwise a digit
    /// could be moved from one to the other. Those of Discord are JSON objects.
    #[must_use]
    pub fn discord() -> Self {
        let template = Template::timestamp_and_body();
        Self { template, ..Self::single("discord", "x-signature-ed25519", "", "{body}") }
            .timestamp(HeaderName::from_static("x-signature-timestamp"), TimestampUnit::Seconds)
    }

    /// `X-GitHub-Delivery` and `X-Hub-Signature-256: sha256=<hex>` over the body
    /// ([GitHub](https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries)).
    ///
    /// There is no timestamp, and the id is not covered: a delivery that is sent again is refused as replayed within the
    /// [replay window](crate::signature::webhook::WebhookVerifier::replay_window), and accepted afterwards.
    #[must_use]
    pub fn github() -> Self {
        Self {
            id: Some(HeaderName::from_static("x-github-delivery")),
            is_timeless: true,
            ..Self::single("github", "x-hub-signature-256", "sha256=", "{body}")
        }
    }

    /// `Paddle-Signature: ts=<timestamp>;h1=<hex>` over `<timestamp>:<body>`
    /// ([Paddle](https://developer.paddle.com/webhooks/signature-verification)). Other versions are ignored.
    #[must_use]
    pub fn paddle() -> Self {
        Self {
            format: Format::Pairs(PairNames { timestamp: "ts", mac: "h1", separator: ';' }),
            timestamp: Some(TimestampField::InSignature),
            ..Self::single("paddle", "paddle-signature", "", "{timestamp}:{body}")
        }
    }

    /// `X-Slack-Request-Timestamp` and `X-Slack-Signature: v0=<hex>` over `v0:<timestamp>:<body>`
    /// ([Slack](https://docs.slack.dev/authentication/verifying-requests-from-slack)).
    #[must_use]
    pub fn slack() -> Self {
        Self::single("slack", "x-slack-signature", "v0=", "v0:{timestamp}:{body}")
            .timestamp(HeaderName::from_static("x-slack-request-timestamp"), TimestampUnit::Seconds)
    }

    /// `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,<base64>` over `<id>.<timestamp>.<body>`, with HMAC (`v1`)
    /// and Ed25519 (`v1a`)
    /// ([Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)).
    #[must_use]
    pub fn standard_webhooks() -> Self {
        Self {
            format: Format::List,
            id: Some(HeaderName::from_static("webhook-id")),
            ..Self::single("standard_webhooks", "webhook-signature", "", "{id}.{timestamp}.{body}")
                .timestamp(HeaderName::from_static("webhook-timestamp"), TimestampUnit::Seconds)
        }
    }

    /// [Standard Webhooks](Self::standard_webhooks) whose header fields begin with another word than `webhook`, such as
    /// `svix`.
    ///
    /// # Errors
    ///
    /// If the word is not one of the name of a header field in lower case.
    pub fn standard_webhooks_of(word: &str) -> Result<Self, ConfigError> {
        let name = |suffix: &str| {
            let refused = || refused("the names of header fields begin with a word in lower case").value(word);
            HeaderName::from_lowercase(format!("{word}-{suffix}").as_bytes()).map_err(|_| refused())
        };
        let timestamp = Some(TimestampField::Field(name("timestamp")?, TimestampUnit::Seconds));
        Ok(Self { id: Some(name("id")?), signature: name("signature")?, timestamp, ..Self::standard_webhooks() })
    }

    /// `Stripe-Signature: t=<timestamp>,v1=<hex>` over `<timestamp>.<body>`
    /// ([Stripe](https://docs.stripe.com/webhooks/signature)). Other versions, such as `v0`, are ignored.
    #[must_use]
    pub fn stripe() -> Self {
        Self {
            format: Format::Pairs(PairNames { timestamp: "t", mac: "v1", separator: ',' }),
            timestamp: Some(TimestampField::InSignature),
            ..Self::single("stripe", "stripe-signature", "", "{timestamp}.{body}")
        }
    }
}
