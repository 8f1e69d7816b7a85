//! The endpoint of introspection, RFC 7662.

use serde_json::json;
use tower_warden::revocation::Revocation as Revoked;
use tower_warden_issuer::{ClientAuthentication, ClientSecrets};

use crate::{
    revocation::Revocation,
    support::{CLIENT_CREDENTIALS, ISSUER, NOW, ORDERS, Reply, Setup, basic_request, client},
};

async fn introspect(setup: &Setup, pair: &str, token: &str) -> Reply {
    let mut request = basic_request(pair, &format!("token={token}"));
    *request.uri_mut() = "/oauth/introspect".parse().unwrap();
    setup.send(request).await
}

/// Adds the client `orders`, which serves the resource.
fn add_server(setup: &Setup) {
    let secrets = ClientSecrets::new(tower_warden::api_key::KeyDigest::sha256("s3cret"));
    let server = client("orders").serve(ORDERS).unwrap().authentication(ClientAuthentication::SecretBasic(secrets));
    setup.clients.insert(server);
}

#[track_caller]
fn assert_inactive(reply: &Reply) {
    assert_eq!((reply.status.as_u16(), &reply.body), (200, &json!({ "active": false })));
    assert_eq!(reply.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn a_resource_server_gets_the_claims_of_a_token_for_it() {
    let setup = Setup::new();
    add_server(&setup);
    let token = setup.post(CLIENT_CREDENTIALS).await;
    let reply = introspect(&setup, "orders:s3cret", token.token()).await;
    assert_eq!((&reply.body["active"], &reply.body["token_type"]), (&true.into(), &"Bearer".into()));
    assert_eq!((&reply.body["client_id"], &reply.body["aud"]), (&"post".into(), &ORDERS.into()));
    assert_eq!((&reply.body["iss"], &reply.body["exp"]), (&ISSUER.into(), &(NOW.as_secs() + 900).into()));
    assert_eq!(reply.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn the_token_of_another_client_for_another_resource_is_not_active() {
    let setup = Setup::new();
    let token = setup.post(CLIENT_CREDENTIALS).await;
    assert_inactive(&introspect(&setup, "basic:s3cret", token.token()).await);
}

#[tokio::test]
async fn an_expired_token_is_not_active() {
    let setup = Setup::new();
    add_server(&setup);
    let token = setup.post(CLIENT_CREDENTIALS).await;
    setup.advance(899);
    assert_eq!(introspect(&setup, "orders:s3cret", token.token()).await.body["active"], true);
    setup.advance(1);
    assert_inactive(&introspect(&setup, "orders:s3cret", token.token()).await);
}

#[tokio::test]
async fn a_revoked_token_is_not_active() {
    let test = Revocation::new();
    add_server(&test.setup);
    let token = test.setup.post(CLIENT_CREDENTIALS).await;
    let id = crate::support::claims(token.token())["jti"].as_str().unwrap().to_owned();
    test.list.revoke(Revoked::token(ISSUER, id), None).unwrap();
    assert_inactive(&introspect(&test.setup, "orders:s3cret", token.token()).await);
}

#[tokio::test]
async fn tokens_of_other_issuers_and_other_texts_are_not_active() {
    let setup = Setup::new();
    add_server(&setup);
    let other = Setup::new().post(CLIENT_CREDENTIALS).await;
    for token in [other.token(), "guess", "rt_guess", "a.b.c"] {
        assert_inactive(&introspect(&setup, "orders:s3cret", token).await);
    }
}

#[tokio::test]
async fn a_refresh_token_is_active_for_its_client_until_it_is_used() {
    let test = Revocation::new();
    let token = test.refresh_token().await;
    let form = |token: &str| format!("client_id=post&client_secret=s3cret&token={token}");
    let ask = |token: &str| {
        let mut request = crate::support::form_request(&form(token));
        *request.uri_mut() = "/oauth/introspect".parse().unwrap();
        test.setup.send(request)
    };
    let reply = ask(&token).await;
    assert_eq!((&reply.body["active"], &reply.body["sub"]), (&true.into(), &"alice".into()));
    assert_inactive(&introspect(&test.setup, "basic:s3cret", &token).await);
    test.setup.post(&format!("grant_type=refresh_token&refresh_token={token}")).await.token();
    assert_inactive(&ask(&token).await);
}

#[tokio::test]
async fn a_server_that_does_not_authenticate_is_refused() {
    introspect(&Setup::new(), "basic:guess", "a").await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_request_without_a_token_is_refused() {
    introspect(&Setup::new(), "basic:s3cret", "").await.assert_error(400, "invalid_request");
}
