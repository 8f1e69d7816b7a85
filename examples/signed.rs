//! Signed requests: webhooks with a shared secret, and an API key that is accepted with a signature only.
//!
//! ```text
//! cargo run --example signed
//! ```
//!
//! It prints commands that sign with `openssl`.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `LISTEN` | the address to listen on | `127.0.0.1:3000` |
//! | `SECRET` | the secret of webhooks, `whsec_<base64>` of 24 to 64 bytes | a random one |
//! | `RUST_LOG` | log filter | `warn,tower_warden=debug` |
#![expect(clippy::print_stdout, reason = "it prints instructions")]

use std::{env, error::Error};

use aws_lc_rs::rand;
use base64::{Engine, prelude::BASE64_STANDARD};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

#[path = "signed/webhooks.rs"]
mod webhooks;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn,tower_warden=debug".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let listener = TcpListener::bind(env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned())).await?;
    let url = format!("http://{}", listener.local_addr()?);

    let mut random = [0; 64];
    rand::fill(&mut random).map_err(|_| "the system's random generator failed")?;
    let secret = || format!("whsec_{}", BASE64_STANDARD.encode(&random[..32]));
    let secret = env::var("SECRET").unwrap_or_else(|_| secret());
    let (transfer, key, key_secret) = webhooks::transfer(&random[32..]).await?;
    let app = webhooks::routes(&secret)?.merge(transfer);

    println!("listening on {url}\nshared secret: {secret}");
    println!(
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
    );
    axum::serve(listener, app).await?;
    Ok(())
}
