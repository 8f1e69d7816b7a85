//! Keys of APIs that are rotated while the client runs.

use std::time::Duration;

use http::HeaderName;
use tower::{Layer, ServiceExt};
use tower_warden::UnixTime;
use tower_warden_client::{
    TokenErrorKind, TokenLayer, TokenRequest, TokenSource,
    grant::StaticKey,
    scoped_keys::{KeyDeclaration, ScopedKeys},
};

use crate::{
    rotation::{LATER, Rotating},
    support::{NOW, Received, get, obtain, response},
};

/// An API that accepts one key at a time.
async fn call(source: impl TokenSource, accepted: &'static str) -> (u16, Vec<String>) {
    let received = Received::default();
    let api = received.api(move |request| {
        let is_accepted = request.headers()["authorization"] == accepted;
        if is_accepted { response(200, "") } else { response(401, "") }
    });
    let client = TokenLayer::new(source, "https://api.example").unwrap().layer(api);
    let status = client.oneshot(get("https://api.example/")).await.unwrap().status().as_u16();
    (status, received.tokens())
}

fn list(tokens: &[&str]) -> Vec<String> {
    tokens.iter().map(|token| (*token).to_owned()).collect()
}

#[tokio::test]
async fn a_key_that_an_api_refuses_is_replaced_by_the_one_before_until_that_is_refused() {
    let secrets = Rotating::new("first");
    let key = StaticKey::bearer_from(secrets.clone(), "api-key");
    assert_eq!(call(key.clone(), "Bearer first").await, (200, list(&["Bearer first"])));

    // The overlap ends a long time after the time of the system, which the layer has.
    secrets.rotate("second", UnixTime::now() + Duration::from_secs(3_600));
    assert_eq!(call(key.clone(), "Bearer first").await, (200, list(&["Bearer second", "Bearer first"])));
    assert_eq!(call(key.clone(), "Bearer first").await, (200, list(&["Bearer first"])), "it is used from then on");
    assert_eq!(call(key.clone(), "Bearer second").await, (200, list(&["Bearer first", "Bearer second"])));
    assert_eq!(call(key.clone(), "Bearer second").await, (200, list(&["Bearer second"])));
    assert_eq!(call(key.clone(), "Bearer third").await, (401, list(&["Bearer second", "Bearer first"])));
}

#[tokio::test]
async fn a_key_before_is_not_sent_when_it_is_no_longer_valid() {
    let secrets = Rotating::new("first");
    let key = StaticKey::header_from(HeaderName::from_static("authorization"), secrets.clone(), "api-key");
    secrets.rotate("second", UnixTime::from_secs(1));
    assert_eq!(call(key.clone(), "first").await, (401, list(&["second"])));
    assert!(!format!("{key:?}").contains("second"));
}

#[tokio::test]
async fn a_new_key_is_sent_at_once_although_the_one_before_was_in_use() {
    let secrets = Rotating::new("first");
    let key = StaticKey::bearer_from(secrets.clone(), "api-key");
    secrets.rotate("second", LATER);
    let request = TokenRequest::new(NOW);
    let current = async || key.token(&request).wait().await.unwrap();
    key.invalidate(&current().await);
    assert_eq!(current().await.expose(), "first");
    secrets.rotate("third", LATER);
    assert_eq!(current().await.expose(), "third");
    key.invalidate(&current().await);
    assert_eq!(current().await.expose(), "second", "two versions are valid at most");
}

#[tokio::test]
async fn a_malformed_key_of_a_source_is_an_error_without_the_key() {
    let secrets = Rotating::new("s3cret with spaces");
    let error = obtain(&StaticKey::bearer_from(secrets, "api-key")).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Store);
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_scoped_key_is_a_source_of_tokens_that_follows_its_rotation() {
    let secrets = Rotating::new("sk_live_0123456789abcdef");
    let keys = ScopedKeys::builder(secrets.clone()).key(KeyDeclaration::new("billing", "BILLING_API_KEY"));
    let keys = keys.load().await.unwrap();
    let source = keys.bearer_source("billing").unwrap();
    assert_eq!(call(source.clone(), "Bearer sk_live_0123456789abcdef").await.0, 200);

    secrets.rotate("sk_live_fedcba9876543210", UnixTime::now() + Duration::from_secs(3_600));
    keys.refresh().await.unwrap();
    let (status, tokens) = call(source.clone(), "Bearer sk_live_0123456789abcdef").await;
    assert_eq!((status, tokens.len(), tokens[0].as_str()), (200, 2, "Bearer sk_live_fedcba9876543210"));

    let field = HeaderName::from_static("x-api-key");
    let token = obtain(&keys.token_source("billing", field.clone()).unwrap()).await.unwrap();
    assert_eq!((token.field(), token.expose()), (&field, "sk_live_fedcba9876543210"));
    assert!(keys.token_source("reports", field).unwrap_err().to_string().contains("reports"));
    assert!(!format!("{source:?}").contains("sk_live"));
}

#[tokio::test]
async fn a_key_under_a_scheme_of_its_own_follows_its_rotation() {
    let secrets = Rotating::new("sk_live_0123456789abcdef");
    let keys = ScopedKeys::builder(secrets.clone()).key(KeyDeclaration::new("billing", "BILLING_API_KEY"));
    let keys = keys.load().await.unwrap();
    let scoped = keys.scheme_source("billing", "ApiKey").unwrap();
    let fixed = StaticKey::scheme_from("ApiKey", secrets.clone(), "BILLING_API_KEY").unwrap();
    assert_eq!(call(scoped.clone(), "ApiKey sk_live_0123456789abcdef").await.0, 200);
    secrets.rotate("sk_live_fedcba9876543210", UnixTime::from_secs(1));
    assert_eq!(call(scoped, "ApiKey sk_live_fedcba9876543210").await.0, 200);
    assert_eq!(call(fixed, "ApiKey sk_live_fedcba9876543210").await.0, 200);
    assert!(keys.scheme_source("billing", "Api Key").is_err());
}

#[tokio::test]
async fn a_refusal_does_not_outlast_the_version_that_was_refused() {
    let secrets = Rotating::new("first");
    let key = StaticKey::bearer_from(secrets.clone(), "api-key");
    let current = async || key.token(&TokenRequest::new(NOW)).wait().await.unwrap();
    secrets.rotate("second", LATER);
    key.invalidate(&current().await);
    assert_eq!(current().await.expose(), "first");
    secrets.rotate("first", LATER);
    assert_eq!(current().await.expose(), "first");
    secrets.rotate("second", LATER);
    assert_eq!(current().await.expose(), "second", "it is a new version");
}
