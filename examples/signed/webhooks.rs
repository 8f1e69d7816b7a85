//! Webhooks, and an API key that is accepted with a signature only.

use std::error::Error;

use axum::{Router, routing::post};
use bytes::Bytes;
use serde_json::Value;
use tower_warden::{
    Principal,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    layer::{AuthLayer, WebhookLayer},
    signature::{
        bound::{DerivedSecrets, PayloadProof},
        payload::{PayloadKey, PayloadScheme},
        webhook::{Delivery, Webhook, WebhookVerifier},
    },
};

/// `POST /hmac`: any body, with `X-Timestamp` in seconds and `X-Signature` in hexadecimal digits over `timestamp.body`, whose key
/// is the secret as it is written.
///
/// `POST /webhooks/standard`: JSON by Standard Webhooks, whose key is the decoded secret.
pub(crate) fn routes(secret: &str) -> Result<Router, Box<dyn Error>> {
    let hmac = WebhookVerifier::new(PayloadScheme::timestamped(), [PayloadKey::secret(secret.as_bytes())?])?;
    let key = PayloadKey::standard_webhooks(secret)?;
    let standard = WebhookVerifier::new(PayloadScheme::standard_webhooks(), [key])?;
    Ok(Router::new()
        .route("/hmac", post(received).layer(WebhookLayer::new(hmac)))
        .route("/webhooks/standard", post(event).layer(WebhookLayer::new(standard))))
}

/// `POST /transfer`: an API key in `X-API-Key`, with a signature over timestamp, method, target and body. Returns the
/// commands of a client as well.
pub(crate) async fn transfer(url: &str, secret: &str, master: &[u8]) -> Result<(Router, String), Box<dyn Error>> {
    let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_demo")?);
    let secrets = DerivedSecrets::new(master)?;
    let (binding, key_secret) = secrets.derive("agent-7/2026-11");
    let (_, key) = keys.mint(NewKey::new("agent-7").confirmation(binding)).await?;
    let proof = PayloadProof::new(PayloadScheme::timestamped_request(), secrets)?;
    let routes = Router::new()
        .route("/transfer", post(async |caller: Principal, body: Bytes| sentence(caller.subject(), &body)))
        .layer(AuthLayer::new(keys).proof(proof.clone()))
        .layer(proof.body_layer());
    Ok((routes, instructions(url, secret, key.expose(), key_secret.expose())))
}

async fn received(delivery: Delivery) -> String {
    sentence("the sender", delivery.body())
}

async fn event(event: Webhook<Value>) -> String {
    let id = event.delivery().id().unwrap_or("a message").to_owned();
    sentence(&id, event.into_inner().to_string().as_bytes())
}

fn sentence(sender: &str, body: &[u8]) -> String {
    format!("{sender}: {}\n", String::from_utf8_lossy(body))
}

fn instructions(url: &str, secret: &str, key: &str, key_secret: &str) -> String {
    format!(
        r#"
time=$(date +%s)

signature=$(printf '%s.%s' $time hello | openssl dgst -sha256 -hmac '{secret}' -r | cut -d' ' -f1)
curl -i {url}/hmac -H "X-Timestamp: $time" -H "X-Signature: $signature" -d hello
curl -i {url}/hmac -H "X-Timestamp: $time" -H "X-Signature: $signature" -d hello         # 401: a replay
curl -i {url}/hmac -H "X-Timestamp: $time" -H "X-Signature: $signature" -d bye           # 401: another body

key=$(printf %s '{secret}' | cut -c7- | base64 -d | od -An -vtx1 | tr -d ' \n')
signature=$(printf 'msg_1.%s.{{"amount":12}}' $time | openssl dgst -sha256 -mac hmac -macopt hexkey:$key -binary | base64)
curl -i {url}/webhooks/standard -H 'webhook-id: msg_1' -H "webhook-timestamp: $time" \
    -H "webhook-signature: v1,$signature" -d '{{"amount":12}}'

signature=$(printf '%s\nPOST\n/transfer\n%s' $time 12 | openssl dgst -sha256 -hmac {key_secret} -r | cut -d' ' -f1)
curl -i {url}/transfer -H 'X-API-Key: {key}' -d 12                                       # 401: the key alone
curl -i {url}/transfer -H 'X-API-Key: {key}' -H "X-Timestamp: $time" -H "X-Signature: $signature" -d 12
"#
    )
}
