use std::{fmt, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower::Service;

use super::{
    Finds, bearer, first_admitted,
    issuer::Issuer,
    keys::{Key, Keys},
    send,
    token::Token,
};
use crate::{Lines, Want};

const TABLE: &str = "key sets";

/// Waits for a change to take effect are stopped after this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tokens with an unknown `kid` that are sent in turn.
const UNKNOWN: usize = 300;

/// Prints what is accepted with other keys in the set, how fast changes of the set take effect, and what unknown keys cost the
/// issuer.
pub(super) async fn print<B, R, S>(
    lines: &Lines,
    keys: &Keys,
    finds: Finds,
    make: &impl AsyncFn(&Issuer) -> Result<S, String>,
) where
    B: Default,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
{
    for (case, other) in other_keys() {
        let issuer = Issuer::start([keys.jwks(), vec![other]].concat());
        let got = match make(&issuer).await {
            Ok(service) => first_admitted(&service, &signed(&issuer, &keys.rs256)).await,
            Err(error) => Err(error),
        };
        lines.verdict(TABLE, case, Want::Admitted, got);
    }
    rotation(lines, keys, make).await;
    unknown_keys(lines, keys, make).await;
    if finds == Finds::KeysByDiscovery {
        moved(lines, keys, make).await;
    }
}

/// Keys that no peer verifies with, and one without a `kid`, each with the case's name.
fn other_keys() -> [(&'static str, Value); 4] {
    let bytes = |length| BASE64_URL_SAFE_NO_PAD.encode(vec![7; length]);
    // The generator of secp256k1, SEC 2 §2.4.1: libraries that know the curve check the point.
    let (x, y) = ("eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g", "SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg");
    let mut nameless = Key::ecdsa("").jwk();
    if let Value::Object(members) = &mut nameless {
        members.remove("kid");
    }
    [
        (
            "an ML-DSA key in the set",
            json!({ "kty": "AKP", "alg": "ML-DSA-44", "use": "sig", "kid": "pq1", "pub": bytes(1_312) }),
        ),
        (
            "a secp256k1 key in the set",
            json!({ "kty": "EC", "crv": "secp256k1", "alg": "ES256K", "use": "sig", "kid": "k1", "x": x, "y": y }),
        ),
        (
            "an X25519 key in the set",
            json!({ "kty": "OKP", "crv": "X25519", "alg": "ECDH-ES", "use": "enc", "kid": "enc1", "x": bytes(32) }),
        ),
        ("a JWK without `kid` in the set", nameless),
    ]
}

/// Two seconds after the keys were loaded, one is replaced.
async fn rotation<B, R, S>(lines: &Lines, keys: &Keys, make: &impl AsyncFn(&Issuer) -> Result<S, String>)
where
    B: Default,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
{
    let (accepted, refused) = ("a new key is accepted after", "a removed key is refused after");
    let issuer = Issuer::start(keys.jwks());
    let service = match ready(&issuer, &keys.rs256, make).await {
        Ok(service) => service,
        Err(error) => return [accepted, refused].iter().for_each(|case| lines.error(TABLE, case, &error)),
    };
    sleep(Duration::from_secs(2)).await;
    let new = Key::rsa("rsa2");
    // A token that was accepted before, as clients present it again.
    let old_token = signed(&issuer, &keys.rs256);
    if let Err(error) = send(&service, Some(&old_token)).await {
        lines.error(TABLE, refused, &error);
    }
    issuer.publish(vec![new.jwk(), keys.es256.jwk(), keys.eddsa.jwk()]);
    let new_token = signed(&issuer, &new);
    let (mut waits, start) = ([None, None], Instant::now());
    while waits.contains(&None) && start.elapsed() < PATIENCE {
        for (token, want, wait) in [(&new_token, Want::Admitted, 0), (&old_token, Want::Refused, 1)] {
            let status = send(&service, Some(token)).await.unwrap_or_default();
            if waits[wait].is_none() && want.is_met_by(status) {
                waits[wait] = Some(start.elapsed());
            }
        }
        sleep(Duration::from_millis(1)).await;
    }
    wait(lines, accepted, waits[0]);
    wait(lines, refused, waits[1]);
}

/// Tokens with unknown keys, and then a new key.
async fn unknown_keys<B, R, S>(lines: &Lines, keys: &Keys, make: &impl AsyncFn(&Issuer) -> Result<S, String>)
where
    B: Default,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
{
    let (fetches, accepted) = ("fetches for 300 unknown `kid`s", "a new key is accepted after those, after");
    let issuer = Issuer::start(keys.jwks());
    let service = match ready(&issuer, &keys.rs256, make).await {
        Ok(service) => service,
        Err(error) => return [fetches, accepted].iter().for_each(|case| lines.error(TABLE, case, &error)),
    };
    sleep(Duration::from_secs(2)).await;
    let before = issuer.fetches();
    for index in 0..UNKNOWN {
        let token = Token::new(&issuer.name()).sign_as("RS256", Some(&format!("unknown-{index}")), &keys.forger);
        // The verdict is that of the case "unknown `kid`".
        let _ = send(&service, Some(&bearer(&token))).await;
    }
    lines.figure(TABLE, fetches, (issuer.fetches() - before) as f64, "");
    let new = Key::rsa("rsa2");
    issuer.publish([keys.jwks(), vec![new.jwk()]].concat());
    wait(lines, accepted, admitted(&service, &signed(&issuer, &new)).await);
}

/// The key set moves to another URL, and gets a new key.
async fn moved<B, R, S>(lines: &Lines, keys: &Keys, make: &impl AsyncFn(&Issuer) -> Result<S, String>)
where
    B: Default,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
{
    let case = "a moved `jwks_uri` is followed after";
    let issuer = Issuer::start(keys.jwks());
    let service = match ready(&issuer, &keys.rs256, make).await {
        Ok(service) => service,
        Err(error) => return lines.error(TABLE, case, &error),
    };
    sleep(Duration::from_secs(2)).await;
    let new = Key::rsa("rsa2");
    issuer.publish([keys.jwks(), vec![new.jwk()]].concat());
    issuer.move_key_set();
    wait(lines, case, admitted(&service, &signed(&issuer, &new)).await);
}

/// The service, once it has admitted a token and so has the keys.
async fn ready<B, R, S>(
    issuer: &Issuer,
    key: &Key,
    make: &impl AsyncFn(&Issuer) -> Result<S, String>,
) -> Result<S, String>
where
    B: Default,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
{
    let service = make(issuer).await?;
    match first_admitted(&service, &signed(issuer, key)).await? {
        200 => Ok(service),
        status => Err(format!("{status} for a valid token")),
    }
}

/// The time until a token is admitted, if it is in time.
async fn admitted<B, R, S>(service: &S, authorization: &str) -> Option<Duration>
where
    B: Default,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone,
{
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if send(service, Some(authorization)).await == Ok(200) {
            return Some(start.elapsed());
        }
        sleep(Duration::from_millis(1)).await;
    }
    None
}

fn signed(issuer: &Issuer, key: &Key) -> String {
    bearer(&Token::new(&issuer.name()).sign(key))
}

fn wait(lines: &Lines, case: &str, wait: Option<Duration>) {
    match wait {
        Some(wait) => lines.figure(TABLE, case, wait.as_secs_f64() * 1_000.0, "ms"),
        None => lines.at_least(TABLE, case, PATIENCE.as_secs_f64() * 1_000.0, "ms"),
    }
}
