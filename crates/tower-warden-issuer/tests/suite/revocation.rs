//! The endpoint of revocation, RFC 7009.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_warden::{
    Environment, ManualClock,
    jwt::Algorithm,
    revocation::{MemoryRevocationList, RevocationList},
};
use tower_warden_issuer::{GrantType, MemoryRefreshStore, RefreshTokenRequest, RefreshTokens, SigningKeys};

use crate::support::{CLIENT_CREDENTIALS, ISSUER, NOW, ORDERS, Reply, Setup, form_request};

pub(crate) struct Revocation {
    pub(crate) list: MemoryRevocationList,
    pub(crate) setup: Setup,
}

impl Revocation {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::at(NOW);
        let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
        let refresh = RefreshTokens::new(MemoryRefreshStore::default(), list.clone());
        let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
        let setup = Setup::with_clock(clock, keys, |builder| builder.refresh_tokens(refresh));
        let client = (*setup.clients.remove("post").unwrap()).clone();
        setup.clients.insert(client.grants([GrantType::ClientCredentials, GrantType::RefreshToken]));
        Self { list, setup }
    }

    pub(crate) async fn refresh_token(&self) -> String {
        let request = RefreshTokenRequest::new("post", "alice");
        self.setup.issuer.issue_refresh_token(&request).await.unwrap().expose().to_owned()
    }

    async fn revoke(&self, token: &str) -> Reply {
        self.setup.send(at_endpoint(&format!("client_id=post&client_secret=s3cret&token={token}"))).await
    }

    async fn is_revoked(&self, reply: &Reply) -> bool {
        let identity = self.setup.verify(reply.token(), ORDERS).await.unwrap();
        self.list.is_revoked(&identity).wait().await.unwrap()
    }
}

fn at_endpoint(form: &str) -> Request<Full<Bytes>> {
    let mut request = form_request(form);
    *request.uri_mut() = "/oauth/revoke".parse().unwrap();
    request
}

#[tokio::test]
async fn an_access_token_is_revoked_alone() {
    let test = Revocation::new();
    let (one, other) = (test.setup.post(CLIENT_CREDENTIALS).await, test.setup.post(CLIENT_CREDENTIALS).await);
    assert_eq!(test.revoke(one.token()).await.status, 200);
    assert!(test.is_revoked(&one).await && !test.is_revoked(&other).await);
}

#[tokio::test]
async fn a_refresh_token_is_revoked_with_its_access_tokens() {
    let test = Revocation::new();
    let form = format!("grant_type=refresh_token&refresh_token={}", test.refresh_token().await);
    let reply = test.setup.post(&form).await;
    let next = reply.body["refresh_token"].as_str().unwrap();
    assert_eq!(test.revoke(next).await.status, 200);
    assert!(test.is_revoked(&reply).await);
    let form = format!("grant_type=refresh_token&refresh_token={next}");
    test.setup.post(&form).await.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn unknown_tokens_are_as_good_as_revoked() {
    let test = Revocation::new();
    for token in ["guess", "rt_guess", "a.b.c"] {
        assert_eq!(test.revoke(token).await.status, 200, "{token}");
    }
}

#[tokio::test]
async fn the_hint_makes_no_difference() {
    let test = Revocation::new();
    let reply = test.setup.post(CLIENT_CREDENTIALS).await;
    assert_eq!(test.revoke(&format!("{}&token_type_hint=refresh_token", reply.token())).await.status, 200);
    assert!(test.is_revoked(&reply).await);
}

#[tokio::test]
async fn a_token_of_another_client_is_refused_and_stays_valid() {
    let test = Revocation::new();
    let reply = test.setup.post(CLIENT_CREDENTIALS).await;
    for token in [reply.token(), &test.refresh_token().await] {
        let mut request = crate::support::basic_request("basic:s3cret", &format!("token={token}"));
        *request.uri_mut() = "/oauth/revoke".parse().unwrap();
        test.setup.send(request).await.assert_error(400, "unauthorized_client");
    }
    assert!(!test.is_revoked(&reply).await);
}

#[tokio::test]
async fn a_client_that_does_not_authenticate_is_refused() {
    let test = Revocation::new();
    let reply = test.setup.send(at_endpoint("client_id=post&client_secret=guess&token=a")).await;
    reply.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_request_without_a_token_is_refused() {
    Revocation::new().revoke("").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn without_a_list_there_is_no_endpoint() {
    let setup = Setup::new();
    assert_eq!(setup.send(at_endpoint("token=a")).await.status, 404);
    assert!(!setup.issuer.metadata().contains("revocation_endpoint"));
    let metadata: serde_json::Value = serde_json::from_str(&Revocation::new().setup.issuer.metadata()).unwrap();
    assert_eq!(metadata["revocation_endpoint"], format!("{ISSUER}/oauth/revoke"));
}
