//! Verifies the webhooks that libraries of others sign, and signs those that they verify: `webhooks.mjs` is the other side.
//!
//! `POST /verify/<scheme>` is behind a `WebhookLayer`. `POST /sign/<scheme>` responds with the header fields for the body.
#![expect(clippy::print_stdout, reason = "the script reads the address")]

use std::{env, error::Error};

use axum::{Json, Router, routing::post};
use bytes::Bytes;
use http::{Method, Uri};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tower_warden::{
    Clock, SystemClock,
    layer::WebhookLayer,
    signature::{
        payload::{Payload, PayloadKey, PayloadScheme, PayloadSigner},
        webhook::{Delivery, WebhookVerifier},
    },
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = env::var("SECRET")?;
    let plain = || PayloadKey::secret(secret.as_bytes());
    let mut app = Router::new();
    for (name, scheme, key) in [
        ("github", PayloadScheme::github(), plain()?),
        ("standard", PayloadScheme::standard_webhooks(), PayloadKey::standard_webhooks(&secret)?),
        ("stripe", PayloadScheme::stripe(), plain()?),
    ] {
        let verifier = WebhookVerifier::new(scheme.clone(), [key.clone()])?;
        let verify = post(async |delivery: Delivery| delivery.body().clone()).layer(WebhookLayer::new(verifier));
        let signer = PayloadSigner::new(scheme, key)?;
        let sign = post(async move |body: Bytes| signed(&signer, &body));
        app = app.route(&format!("/verify/{name}"), verify).route(&format!("/sign/{name}"), sign);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

fn signed(signer: &PayloadSigner, body: &[u8]) -> Json<Map<String, Value>> {
    let uri = Uri::from_static("/");
    let payload = Payload::new(&Method::POST, &uri, body, SystemClock::default().timestamp()).id("msg_of_warden");
    let fields = signer.sign(&payload).expect("the id is one that receivers accept");
    let text = |value: &http::HeaderValue| value.to_str().expect("fields are ASCII").into();
    Json(fields.iter().map(|(name, value)| (name.to_string(), text(value))).collect())
}
