//! What refresh tokens may take, and what they may be bound to.

use std::num::NonZeroUsize;

use tower_warden::{Digest, caller::Confirmation, jwt::Algorithm, revocation::MemoryRevocationList};
use tower_warden_issuer::{GrantType, IssueError, MemoryRefreshStore, RefreshTokenRequest, RefreshTokens, SigningKeys};

use crate::support::{Setup, basic_request};

fn setup(store: MemoryRefreshStore) -> Setup {
    let refresh = RefreshTokens::new(store, MemoryRevocationList::default());
    let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
    let other = MemoryRevocationList::default();
    let setup = Setup::with_keys(keys, |builder| builder.refresh_tokens(refresh).revocations(other));
    let client = (*setup.clients.remove("post").unwrap()).clone();
    setup.clients.insert(client.grants([GrantType::ClientCredentials, GrantType::RefreshToken]));
    setup
}

async fn first(setup: &Setup) -> String {
    let request = RefreshTokenRequest::new("post", "alice");
    setup.issuer.issue_refresh_token(&request).await.unwrap().expose().to_owned()
}

#[tokio::test]
async fn a_family_takes_the_same_room_however_often_it_is_used() {
    let setup = setup(MemoryRefreshStore::new(NonZeroUsize::new(2).unwrap()));
    let (mut token, other) = (first(&setup).await, first(&setup).await);
    for _ in 0..50 {
        let reply = setup.post(&format!("grant_type=refresh_token&refresh_token={token}")).await;
        token = reply.body["refresh_token"].as_str().unwrap().to_owned();
    }
    assert_eq!(setup.post(&format!("grant_type=refresh_token&refresh_token={other}")).await.status, 200);
}

/// (284)
#[tokio::test]
async fn a_client_does_not_take_the_room_of_others() {
    let setup = setup(MemoryRefreshStore::new(NonZeroUsize::new(1_100).unwrap()));
    let begin = async |subject| setup.issuer.issue_refresh_token(&RefreshTokenRequest::new("post", subject)).await;
    let mut last = None;
    for _ in 0..11 {
        last = Some(begin("alice").await.unwrap());
    }
    let Err(IssueError::Unavailable(error)) = begin("alice").await else { panic!("there is no room for alice") };
    assert!(error.to_string().contains("a client has for one subject"), "{error}");
    assert!(begin("bob").await.is_ok());
    // The use of one makes no room, and its expiry does.
    let used = format!("grant_type=refresh_token&refresh_token={}", last.unwrap().expose());
    assert_eq!(setup.post(&used).await.status, 200);
    assert!(begin("alice").await.is_err());
    setup.advance(7 * 24 * 3600);
    assert!(begin("alice").await.is_ok());
}

/// (284)
#[tokio::test]
async fn a_client_that_logs_out_has_room_again_after_an_hour() {
    let setup = setup(MemoryRefreshStore::new(NonZeroUsize::new(10).unwrap()));
    let revoke = async |token: &str| {
        let request = at("/oauth/revoke", &format!("client_id=post&client_secret=s3cret&token={token}"));
        assert_eq!(setup.send(request).await.status, 200);
    };
    for _ in 0..10 {
        revoke(&first(&setup).await).await;
    }
    let begin = async || setup.issuer.issue_refresh_token(&RefreshTokenRequest::new("post", "alice")).await;
    // Until then, a revoked family is known, so that its access tokens are revoked again if one of its tokens is used.
    assert!(begin().await.is_err());
    setup.advance(3_599);
    assert!(begin().await.is_err());
    setup.advance(1);
    let token = begin().await.unwrap();
    // One that is not revoked is kept.
    setup.advance(3_601);
    let used = format!("grant_type=refresh_token&refresh_token={}", token.expose());
    assert_eq!(setup.post(&used).await.status, 200);
}

#[tokio::test]
async fn an_access_token_of_a_revoked_family_is_not_active_with_a_list_for_each_kind() {
    let setup = setup(MemoryRefreshStore::default());
    let token = first(&setup).await;
    let reply = setup.post(&format!("grant_type=refresh_token&refresh_token={token}")).await;
    let introspected = async || {
        let form = format!("client_id=post&client_secret=s3cret&token={}", reply.token());
        setup.send(at("/oauth/introspect", &form)).await.body["active"].clone()
    };
    assert_eq!(introspected().await, true);
    let next = reply.body["refresh_token"].as_str().unwrap();
    let revoked = setup.send(at("/oauth/revoke", &format!("client_id=post&client_secret=s3cret&token={next}"))).await;
    assert_eq!(revoked.status, 200);
    assert_eq!(introspected().await, false);
}

fn at(path: &str, form: &str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = basic_request("", form);
    request.headers_mut().remove("authorization");
    *request.uri_mut() = path.parse().unwrap();
    request
}

#[tokio::test]
async fn no_token_is_bound_to_a_certificate_that_its_client_never_presents() {
    let setup = setup(MemoryRefreshStore::default());
    let certificate = Confirmation::certificate(Digest::of(b"certificate"));
    let request = RefreshTokenRequest::new("post", "alice").bound_to(certificate);
    assert!(matches!(setup.issuer.issue_refresh_token(&request).await, Err(IssueError::Refused)));
}
