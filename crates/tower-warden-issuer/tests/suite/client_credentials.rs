//! The grant of client credentials: scopes, resources, tokens.

use std::sync::Arc;
use tower_warden::{Eventual, Unavailable, jwt::Algorithm};
use tower_warden_issuer::{Client, ClientStore, GrantType, SigningKeys, TokenIssuer};

use crate::support::{
    BILLING, CLIENT_CREDENTIALS, ISSUER, NOW, ORDERS, Setup, claims, client, form_request, header_of,
};

#[tokio::test]
async fn the_token_has_the_claims_of_rfc_9068() {
    let setup = Setup::new();
    let reply = setup.post(CLIENT_CREDENTIALS).await;
    let (header, claims) = (header_of(reply.token()), claims(reply.token()));
    assert_eq!((header["typ"].as_str(), header["alg"].as_str()), (Some("at+jwt"), Some("ES256")));
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!((&claims["sub"], &claims["client_id"]), (&"post".into(), &"post".into()));
    assert_eq!(claims["aud"], ORDERS);
    assert_eq!(claims["iat"], NOW.as_secs());
    assert_eq!(claims["exp"], NOW.as_secs() + 900);
    assert_eq!(claims["scope"], "orders:read orders:write");
    assert!(claims["jti"].as_str().is_some_and(|id| id.len() == 22));

    let identity = setup.verify(reply.token(), ORDERS).await.unwrap();
    assert_eq!((&*identity.subject, identity.scopes.len()), ("post", 2));
    assert!(setup.verify(reply.token(), BILLING).await.is_err(), "it is for another API");
}

#[tokio::test]
async fn the_response_is_that_of_rfc_6749_and_not_stored() {
    let reply = Setup::new().post(CLIENT_CREDENTIALS).await;
    assert_eq!(reply.body["token_type"], "Bearer");
    assert_eq!(reply.body["expires_in"], 900);
    assert_eq!(reply.body["scope"], "orders:read orders:write");
    assert!(reply.body.get("refresh_token").is_none(), "RFC 6749 §4.4.3");
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert_eq!(reply.headers["pragma"], "no-cache");
}

#[tokio::test]
async fn each_token_has_another_id() {
    let setup = Setup::new();
    let (one, other) = (setup.post(CLIENT_CREDENTIALS).await, setup.post(CLIENT_CREDENTIALS).await);
    assert_ne!(claims(one.token())["jti"], claims(other.token())["jti"]);
}

#[tokio::test]
async fn tokens_of_all_algorithms_are_verified() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let setup = Setup::with_keys(SigningKeys::generate(algorithm).unwrap(), |builder| builder);
        let reply = setup.post(CLIENT_CREDENTIALS).await;
        assert_eq!(header_of(reply.token())["alg"], algorithm.as_str());
        assert!(setup.verify(reply.token(), ORDERS).await.is_ok(), "{algorithm}");
    }
}

#[tokio::test]
async fn scopes_are_narrowed_to_those_that_are_requested_and_allowed() {
    let setup = Setup::new();
    let reply = setup.post("grant_type=client_credentials&scope=orders:read+billing:write").await;
    assert_eq!(reply.body["scope"], "orders:read");
    assert_eq!(claims(reply.token())["scope"], "orders:read");
}

#[tokio::test]
async fn a_request_for_other_scopes_only_is_refused() {
    let reply = Setup::new().post("grant_type=client_credentials&scope=billing:write").await;
    reply.assert_error(400, "invalid_scope");
}

#[tokio::test]
async fn a_malformed_scope_is_refused() {
    let reply = Setup::new().post("grant_type=client_credentials&scope=orders:read+%22").await;
    reply.assert_error(400, "invalid_scope");
}

#[tokio::test]
async fn a_client_without_scopes_gets_a_token_without_them() {
    let setup = Setup::new();
    let post = client("post").scopes("").unwrap();
    let old = setup.clients.remove("post").unwrap();
    assert_eq!(old.allowed_scopes().len(), 2);
    let secrets = tower_warden_issuer::ClientSecrets::new(tower_warden::api_key::KeyDigest::sha256("s3cret"));
    setup.clients.insert(post.authentication(tower_warden_issuer::ClientAuthentication::SecretPost(secrets)));
    let reply = setup.post(CLIENT_CREDENTIALS).await;
    assert!(claims(reply.token()).get("scope").is_none() && reply.body.get("scope").is_none());
}

#[tokio::test]
async fn the_token_is_for_the_requested_resource() {
    let setup = Setup::new();
    let reply = setup.post(&format!("{CLIENT_CREDENTIALS}&resource={BILLING}")).await;
    assert_eq!(claims(reply.token())["aud"], BILLING);
}

#[tokio::test]
async fn a_resource_of_other_clients_is_refused() {
    let reply = Setup::new().post(&format!("{CLIENT_CREDENTIALS}&resource=https://other.example.com")).await;
    reply.assert_error(400, "invalid_target");
}

#[tokio::test]
async fn a_resource_with_a_fragment_is_refused() {
    let reply = Setup::new().post(&format!("{CLIENT_CREDENTIALS}&resource={ORDERS}%23part")).await;
    reply.assert_error(400, "invalid_target");
}

#[tokio::test]
async fn several_resources_are_refused() {
    let reply = Setup::new().post(&format!("{CLIENT_CREDENTIALS}&resource={ORDERS}&resource={BILLING}")).await;
    reply.assert_error(400, "invalid_target");
}

#[tokio::test]
async fn an_unknown_grant_is_refused() {
    Setup::new().post("grant_type=password&username=a&password=b").await.assert_error(400, "unsupported_grant_type");
}

#[tokio::test]
async fn a_request_without_a_grant_is_refused() {
    Setup::new().post("scope=orders:read").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_grant_that_the_client_may_not_use_is_refused() {
    let setup = Setup::new();
    let post = (*setup.clients.remove("post").unwrap()).clone();
    assert!(post.may_use(GrantType::ClientCredentials));
    setup.clients.insert(post.grants([]));
    setup.post(CLIENT_CREDENTIALS).await.assert_error(400, "unauthorized_client");
}

#[tokio::test]
async fn nothing_is_issued_while_the_client_store_is_down() {
    struct Down;
    impl ClientStore for Down {
        fn find(&self, _: &str) -> Eventual<Result<Option<Arc<Client>>, Unavailable>> {
            Eventual::later(async { Err(Unavailable::new("the client store")) })
        }
    }
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
    let mut setup = Setup::new();
    setup.issuer = TokenIssuer::builder(ISSUER, Down, keys).unwrap().build().unwrap();
    let reply = setup.send(form_request("client_id=post&client_secret=s3cret&grant_type=client_credentials")).await;
    reply.assert_error(503, "temporarily_unavailable");
    assert_eq!(reply.headers["retry-after"], "1");
}
