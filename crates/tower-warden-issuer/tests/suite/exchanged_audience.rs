//! Token exchange: the audience that was granted is kept.

use tower_warden_issuer::{GrantType, RefreshTokenRequest};

use crate::{
    support::{BILLING, CLIENT_CREDENTIALS, ORDERS, claims},
    token_exchange::{Exchange, client},
};

#[tokio::test]
async fn a_client_cannot_widen_the_audience_of_the_token_of_a_user() {
    let test = Exchange::new();
    let alice = test.alice().await;
    for target in
        [format!("resource={BILLING}"), format!("audience={BILLING}"), format!("resource={ORDERS}&audience={BILLING}")]
    {
        test.exchange("web", &alice, &target).await.assert_error(400, "invalid_target");
    }
    // Without a resource, it stays the one that was granted, which is not the first of the client.
    let request = RefreshTokenRequest::new("web", "alice").resource(BILLING);
    let token = test.setup.issuer.issue_refresh_token(&request).await.unwrap();
    let reply = test.send("web", &format!("grant_type=refresh_token&refresh_token={}", token.expose())).await;
    assert_eq!(claims(test.exchange("web", reply.token(), "").await.token())["aud"], BILLING);
    // What the client has for itself is for all of its resources.
    let own = test.send("web", CLIENT_CREDENTIALS).await;
    let exchanged = test.exchange("web", own.token(), &format!("resource={BILLING}")).await;
    assert_eq!(claims(exchanged.token())["aud"], BILLING);
}

#[tokio::test]
async fn an_audience_may_be_named_twice_and_not_two_of_them() {
    let test = Exchange::new();
    let own = test.send("web", CLIENT_CREDENTIALS).await;
    let twice = format!("audience={BILLING}&audience={BILLING}&resource={BILLING}");
    assert_eq!(claims(test.exchange("web", own.token(), &twice).await.token())["aud"], BILLING);
    let two = format!("audience={BILLING}&audience={ORDERS}");
    test.exchange("web", own.token(), &two).await.assert_error(400, "invalid_target");
}

#[tokio::test]
async fn a_resource_that_the_client_has_lost_is_refused() {
    let test = Exchange::new();
    let token = test.alice().await;
    test.setup.clients.insert(client("web", BILLING).scopes("orders:read").unwrap());
    test.exchange("web", &token, "").await.assert_error(400, "invalid_target");
}

#[tokio::test]
async fn a_client_without_client_credentials_cannot_widen_the_audience_of_its_own_token() {
    let test = Exchange::new();
    let web = (*test.setup.clients.remove("web").unwrap()).clone();
    test.setup.clients.insert(web.grants([GrantType::RefreshToken, GrantType::TokenExchange]));
    let own = test.token_of("web", "web").await;
    let target = format!("resource={BILLING}");
    test.exchange("web", &own, &target).await.assert_error(400, "invalid_target");
    test.exchange("web", &own, "").await.token();
}
