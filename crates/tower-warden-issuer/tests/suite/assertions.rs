//! `private_key_jwt`: assertions of clients.

use std::sync::Arc;

use serde_json::{Value, json};
use tower_warden::{
    Authenticator, Credential, Eventual, Head, Presented, Unavailable,
    jwt::{Algorithm, Issuer, Jwt, KeyRequest, KeySource, StaticKeys, VerifyingKey},
    testing::{SigningKey, TokenBuilder},
};
use tower_warden_issuer::ClientAuthentication;

use crate::support::{CLIENT_CREDENTIALS, ISSUER, NOW, Reply, Setup, client, form_request};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The claims of a valid assertion of the client `signer`.
pub(crate) fn valid() -> Value {
    let now = NOW.as_secs();
    json!({ "iss": "signer", "sub": "signer", "aud": ISSUER, "jti": "1", "iat": now, "exp": now + 60 })
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = valid();
    claims[name] = value.into();
    claims
}

fn without(name: &str) -> Value {
    let mut claims = valid();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

pub(crate) fn sign(key: &SigningKey, kind: &str, claims: &Value) -> String {
    let header = json!({ "alg": key.algorithm().as_str(), "kid": key.id(), "typ": kind });
    TokenBuilder::sign_text(&header.to_string(), &claims.to_string(), key)
}

pub(crate) fn parameters(assertion: &str) -> String {
    format!("client_assertion_type={TYPE}&client_assertion={assertion}")
}

pub(crate) async fn send(setup: &Setup, assertion: &str) -> Reply {
    setup.send(form_request(&format!("{CLIENT_CREDENTIALS}&{}", parameters(assertion)))).await
}

async fn send_claims(claims: &Value) -> Reply {
    let setup = Setup::new();
    send(&setup, &sign(&setup.key, "client-authentication+jwt", claims)).await
}

#[tokio::test]
async fn a_valid_assertion_is_accepted() {
    send_claims(&valid()).await.token();
}

#[tokio::test]
async fn the_general_type_is_accepted() {
    let setup = Setup::new();
    send(&setup, &sign(&setup.key, "JWT", &valid())).await.token();
}

#[tokio::test]
async fn an_access_token_is_not_an_assertion() {
    let setup = Setup::new();
    send(&setup, &sign(&setup.key, "at+jwt", &valid())).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_is_not_an_access_token() {
    let setup = Setup::new();
    let assertion = sign(&setup.key, "client-authentication+jwt", &valid());
    let verifying = VerifyingKey::from_jwk(&setup.key.jwk().to_string()).unwrap();
    let rules = Issuer::named("signer", ISSUER).unwrap();
    let jwt = Jwt::new(rules, StaticKeys::new([verifying]).unwrap());
    let request = http::Request::new(());
    let presented = Presented::new(Credential::access_token(&assertion), Head::from(&request), NOW);
    assert!(jwt.authenticate(&presented).wait().await.is_err());
}

#[tokio::test]
async fn an_assertion_for_the_token_endpoint_is_refused() {
    send_claims(&with("aud", format!("{ISSUER}/oauth/token"))).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_with_a_further_audience_is_refused() {
    let audiences = json!([ISSUER, "https://other.example.com"]);
    send_claims(&with("aud", audiences)).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_without_an_audience_is_refused() {
    send_claims(&without("aud")).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_without_an_id_is_refused() {
    send_claims(&without("jti")).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_without_an_expiry_is_refused() {
    send_claims(&without("exp")).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_that_is_valid_for_an_hour_is_refused() {
    send_claims(&with("exp", NOW.as_secs() + 3600)).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_expired_assertion_is_refused() {
    send_claims(&with("exp", NOW.as_secs() - 60)).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_of_another_issuer_is_refused() {
    send_claims(&with("iss", "basic")).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_about_another_client_is_refused() {
    send_claims(&with("sub", "basic")).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_of_an_unknown_client_is_refused() {
    let mut claims = with("iss", "nobody");
    claims["sub"] = "nobody".into();
    send_claims(&claims).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_that_another_key_has_signed_is_refused() {
    let (setup, other) = (Setup::new(), SigningKey::generate(Algorithm::ES256));
    let header = json!({ "alg": "ES256", "kid": setup.key.id(), "typ": "JWT" });
    let assertion = TokenBuilder::sign_text(&header.to_string(), &valid().to_string(), &other);
    send(&setup, &assertion).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_is_accepted_once() {
    let setup = Setup::new();
    let assertion = sign(&setup.key, "client-authentication+jwt", &valid());
    send(&setup, &assertion).await.token();
    send(&setup, &assertion).await.assert_error(401, "invalid_client");
    // Also in the last second in which it is valid, with the tolerated difference of clocks.
    setup.advance(119);
    send(&setup, &assertion).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn of_concurrent_requests_with_one_assertion_one_succeeds() {
    let setup = Arc::new(Setup::new());
    let assertion: Arc<str> = sign(&setup.key, "JWT", &valid()).into();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (setup, assertion) = (Arc::clone(&setup), Arc::clone(&assertion));
            tokio::spawn(async move { send(&setup, &assertion).await.status.as_u16() })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.push(task.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1]), (200, 401));
}

#[tokio::test]
async fn another_type_of_assertion_is_refused() {
    let setup = Setup::new();
    let assertion = sign(&setup.key, "JWT", &valid());
    for kind in ["", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"] {
        let form = format!("{CLIENT_CREDENTIALS}&client_assertion_type={kind}&client_assertion={assertion}");
        setup.send(form_request(&form)).await.assert_error(401, "invalid_client");
    }
}

#[tokio::test]
async fn another_id_in_the_form_is_refused() {
    let setup = Setup::new();
    let assertion = sign(&setup.key, "JWT", &valid());
    let form = format!("{CLIENT_CREDENTIALS}&client_assertion_type={TYPE}&client_assertion={assertion}");
    setup.send(form_request(&format!("{form}&client_id=basic"))).await.assert_error(400, "invalid_request");
    setup.send(form_request(&format!("{form}&client_id=signer"))).await.token();
}

#[tokio::test]
async fn an_assertion_with_a_secret_is_refused() {
    let setup = Setup::new();
    let assertion = sign(&setup.key, "JWT", &valid());
    let form = format!("{CLIENT_CREDENTIALS}&client_assertion_type={TYPE}&client_assertion={assertion}");
    setup.send(form_request(&format!("{form}&client_secret=s3cret"))).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_client_with_a_secret_has_no_assertions() {
    let setup = Setup::new();
    let mut claims = with("iss", "post");
    claims["sub"] = "post".into();
    send(&setup, &sign(&setup.key, "JWT", &claims)).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_malformed_assertion_is_refused() {
    for assertion in ["a", "a.b.c", "..", "e30.e30.c2ln", &"a".repeat(20_000)] {
        send(&Setup::new(), assertion).await.assert_error(401, "invalid_client");
    }
}

#[tokio::test]
async fn nothing_is_issued_while_the_keys_of_a_client_are_unavailable() {
    struct Down;
    impl KeySource for Down {
        fn find(&self, _: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
            Eventual::Now(Err(Unavailable::new("the key set of the client")))
        }
    }
    let setup = Setup::new();
    setup.clients.insert(client("signer").authentication(ClientAuthentication::private_key_jwt(Down)));
    let reply = send(&setup, &sign(&setup.key, "JWT", &valid())).await;
    reply.assert_error(503, "temporarily_unavailable");
}
