//! Token exchange: actors, `may_act`, bound tokens.

use serde_json::{Value, json};
use tower_warden::revocation::Revocation;
use tower_warden_issuer::{ClaimsRequest, ExtraClaims, GrantType, TokenExchange};

use crate::{
    binding::{key, proof},
    support::{BILLING, CLIENT_CREDENTIALS, ISSUER, Reply, claims},
    token_exchange::{ACCESS_TOKEN, Exchange, LEDGER, client, form, request},
};

fn actor(token: &str) -> String {
    format!("actor_token={token}&actor_token_type={ACCESS_TOKEN}")
}

#[tokio::test]
async fn the_chain_of_actors_is_kept() {
    let test = Exchange::new();
    let first = test.exchange("orders", &test.alice().await, "").await;
    let second = test.exchange("billing", first.token(), "").await;
    let claims = claims(second.token());
    assert_eq!((&claims["sub"], &claims["aud"]), (&"alice".into(), &LEDGER.into()));
    assert_eq!(claims["act"], json!({ "sub": "billing", "act": { "sub": "orders" } }));
}

#[tokio::test]
async fn a_token_with_an_actor_that_is_narrowed_keeps_it() {
    let test = Exchange::new();
    let first = test.exchange("orders", &test.alice().await, "").await;
    let again = test.exchange("orders", first.token(), "scope=orders:read").await;
    assert_eq!(claims(again.token())["act"], json!({ "sub": "orders" }));
}

#[tokio::test]
async fn a_ninth_actor_is_refused() {
    let test = Exchange::new();
    let resource = |number: usize| format!("https://api-{number}.example.com");
    for number in 0..9 {
        let server = client(&format!("api-{number}"), &resource(number + 1)).serve(&resource(number)).unwrap();
        test.setup.clients.insert(server);
    }
    test.setup.clients.insert(client("first", &resource(0)));
    let mut token = test.token_of("first", "alice").await;
    for number in 0..8 {
        token = test.exchange(&format!("api-{number}"), &token, "").await.token().to_owned();
    }
    let mut act = &claims(&token)["act"];
    for number in (0..8).rev() {
        assert_eq!(act["sub"], format!("api-{number}"));
        act = &act["act"];
    }
    test.exchange("api-8", &token, "").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn the_subject_of_the_actor_token_is_the_actor() {
    let test = Exchange::new();
    let job = test.token_of("orders", "job-7").await;
    let reply = test.exchange("orders", &test.alice().await, &actor(&job)).await;
    let claims = claims(reply.token());
    assert_eq!((&claims["sub"], &claims["client_id"]), (&"alice".into(), &"orders".into()));
    assert_eq!(claims["act"], json!({ "sub": "job-7" }));
}

#[tokio::test]
async fn an_actor_token_of_another_party_is_refused() {
    let test = Exchange::new();
    // `orders` has received both tokens as an API: it cannot make one act for the other.
    let agent = test.send("agent", CLIENT_CREDENTIALS).await.token().to_owned();
    let reply = test.exchange("orders", &test.alice().await, &actor(&agent)).await;
    reply.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn an_actor_token_of_the_client_does_not_admit_a_foreign_subject_token() {
    let test = Exchange::new();
    let agent = test.send("agent", CLIENT_CREDENTIALS).await.token().to_owned();
    test.exchange("agent", &test.alice().await, &actor(&agent)).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn an_actor_token_with_an_actor_is_refused() {
    let test = Exchange::new();
    let (alice, bob) = (test.alice().await, test.token_of("web", "bob").await);
    let delegated = test.exchange("orders", &bob, "").await.token().to_owned();
    test.exchange("orders", &alice, &actor(&delegated)).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn an_expired_actor_token_is_refused_and_a_valid_one_limits_the_expiry() {
    let test = Exchange::new();
    let job = test.token_of("orders", "job-7").await;
    test.setup.advance(600);
    let alice = test.alice().await;
    let reply = test.exchange("orders", &alice, &actor(&job)).await;
    assert_eq!(reply.body["expires_in"], 300);
    test.setup.advance(300);
    test.exchange("orders", &alice, &actor(&job)).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_revoked_actor_token_is_refused() {
    let test = Exchange::new();
    let job = test.token_of("orders", "job-7").await;
    test.list.revoke(Revocation::token(ISSUER, claims(&job)["jti"].as_str().unwrap().to_owned()), None).unwrap();
    test.exchange("orders", &test.alice().await, &actor(&job)).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn an_actor_token_and_its_type_need_each_other() {
    let test = Exchange::new();
    let (alice, job) = (test.alice().await, test.token_of("orders", "job-7").await);
    for more in [
        format!("actor_token={job}"),
        format!("actor_token_type={ACCESS_TOKEN}"),
        format!("actor_token=&actor_token_type={ACCESS_TOKEN}"),
        format!("actor_token={job}&actor_token_type=urn:ietf:params:oauth:token-type:id_token"),
    ] {
        test.exchange("orders", &alice, &more).await.assert_error(400, "invalid_request");
    }
}

/// An issuer whose tokens of users permit `agent` to act.
fn with_may_act() -> Exchange {
    Exchange::with(|builder| {
        let builder = builder.token_exchange(TokenExchange::default());
        builder.claims(|request: &ClaimsRequest<'_>| match request.grant {
            GrantType::RefreshToken => Ok(ExtraClaims::default().may_act("agent")),
            // In an exchange, it would permit another client.
            _ => Ok(ExtraClaims::default().may_act("billing")),
        })
    })
}

#[tokio::test]
async fn the_party_that_may_act_exchanges_the_token() {
    let test = with_may_act();
    let reply = test.exchange("agent", &test.alice().await, "").await;
    let claims = claims(reply.token());
    assert_eq!((&claims["sub"], &claims["act"]), (&"alice".into(), &json!({ "sub": "agent" })));
}

#[tokio::test]
async fn every_other_party_is_refused_a_token_with_may_act() {
    let test = with_may_act();
    let token = test.alice().await;
    for client in ["orders", "web", "billing"] {
        test.exchange(client, &token, "").await.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn may_act_is_kept_and_never_widened() {
    let test = with_may_act();
    let token = test.exchange("agent", &test.alice().await, "").await.token().to_owned();
    assert_eq!(claims(&token)["may_act"], json!({ "client_id": "agent" }));
    test.exchange("orders", &token, "").await.assert_error(400, "invalid_request");
}

/// A token of `alice` that is bound to a key.
async fn bound(test: &Exchange, key: &tower_warden::testing::SigningKey) -> String {
    let first = tower_warden_issuer::RefreshTokenRequest::new("web", "alice");
    let first = test.setup.issuer.issue_refresh_token(&first).await.unwrap();
    let mut request = request("web", &format!("grant_type=refresh_token&refresh_token={}", first.expose()));
    request.headers_mut().insert("dpop", proof(key, "refresh", |_| {}).parse().unwrap());
    test.setup.send(request).await.token().to_owned()
}

async fn exchange_with_proof(test: &Exchange, client: &str, form: &str, proof: &str) -> Reply {
    let mut request = request(client, form);
    request.headers_mut().insert("dpop", proof.parse().unwrap());
    test.setup.send(request).await
}

fn jkt(key: &tower_warden::testing::SigningKey) -> Value {
    key.confirmation().key_thumbprint().unwrap().to_base64url().into()
}

#[tokio::test]
async fn a_bound_token_of_the_client_needs_the_proof_of_its_key() {
    let (test, key, other) = (Exchange::new(), key(), key());
    let token = bound(&test, &key).await;
    test.exchange("web", &token, "").await.assert_error(400, "invalid_request");
    let form = form(&token, "");
    let refused = exchange_with_proof(&test, "web", &form, &proof(&other, "1", |_| {})).await;
    refused.assert_error(400, "invalid_request");
    let reply = exchange_with_proof(&test, "web", &form, &proof(&key, "2", |_| {})).await;
    assert_eq!((&reply.body["token_type"], &claims(reply.token())["cnf"]["jkt"]), (&"DPoP".into(), &jkt(&key)));
}

#[tokio::test]
async fn a_bound_token_never_yields_a_bearer_token() {
    let (test, key, own) = (Exchange::new(), key(), key());
    let token = bound(&test, &key).await;
    test.exchange("orders", &token, "").await.assert_error(400, "invalid_request");
    let reply = exchange_with_proof(&test, "orders", &form(&token, ""), &proof(&own, "1", |_| {})).await;
    assert_eq!(claims(reply.token())["cnf"], json!({ "jkt": jkt(&own) }));
}

#[tokio::test]
async fn a_bearer_token_is_exchanged_for_one_that_is_bound_to_the_proof() {
    let (test, own) = (Exchange::new(), key());
    let form = form(&test.alice().await, "");
    let reply = exchange_with_proof(&test, "orders", &form, &proof(&own, "1", |_| {})).await;
    assert_eq!((&claims(reply.token())["cnf"]["jkt"], &claims(reply.token())["aud"]), (&jkt(&own), &BILLING.into()));
}

#[tokio::test]
async fn a_bound_actor_token_needs_the_proof_of_its_key() {
    let (test, key) = (Exchange::new(), key());
    let alice = test.alice().await;
    let mut bound = request("orders", CLIENT_CREDENTIALS);
    bound.headers_mut().insert("dpop", proof(&key, "1", |_| {}).parse().unwrap());
    let job = test.setup.send(bound).await.token().to_owned();
    test.exchange("orders", &alice, &actor(&job)).await.assert_error(400, "invalid_request");
    let form = form(&alice, &actor(&job));
    exchange_with_proof(&test, "orders", &form, &proof(&key, "2", |_| {})).await.token();
}
