//! Token exchange: subject tokens, scopes, resources, lifetimes.

use http::Request;
use http_body_util::Full;
use serde_json::json;
use tower_warden::{
    Environment, Eventual, Identity, ManualClock, Unavailable, UnixTime,
    jwt::Algorithm,
    revocation::{MemoryRevocationList, Revocation, RevocationList},
    testing::TestIssuer,
};
use tower_warden_issuer::{
    ClaimsError, ClaimsRequest, Client, ClientAuthentication, ClientSecrets, ExtraClaims, GrantType,
    MemoryRefreshStore, RefreshTokenRequest, RefreshTokens, Revoker, SigningKeys, TokenExchange, TokenIssuerBuilder,
};

use crate::support::{BILLING, CLIENT_CREDENTIALS, ISSUER, NOW, ORDERS, Reply, Setup, claims, form_request};

pub(crate) const LEDGER: &str = "https://ledger.example.com";
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The clients `web`, which has tokens of users, `agent`, and `orders` and `billing`, which serve the resources of these names.
pub(crate) struct Exchange {
    pub(crate) list: MemoryRevocationList,
    pub(crate) setup: Setup,
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder.token_exchange(TokenExchange::default()))
    }

    pub(crate) fn with(configure: impl FnOnce(TokenIssuerBuilder) -> TokenIssuerBuilder) -> Self {
        let clock = ManualClock::at(NOW);
        let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
        let refresh = RefreshTokens::new(MemoryRefreshStore::default(), list.clone());
        let keys = SigningKeys::generate(Algorithm::ES256).unwrap();
        let setup = Setup::with_clock(clock, keys, |builder| configure(builder.refresh_tokens(refresh)));
        let client = |id, resource, scopes| client(id, resource).scopes(scopes).unwrap();
        setup.clients.insert(client("web", ORDERS, "orders:read orders:write").resource(BILLING).unwrap());
        setup.clients.insert(client("agent", ORDERS, "orders:read"));
        setup.clients.insert(client("orders", BILLING, "orders:read billing:read").serve(ORDERS).unwrap());
        setup.clients.insert(client("billing", LEDGER, "orders:read").serve(BILLING).unwrap());
        Self { list, setup }
    }

    /// The response to a form of a client.
    pub(crate) async fn send(&self, client: &str, form: &str) -> Reply {
        self.setup.send(request(client, form)).await
    }

    /// A token about a subject that was issued to a client.
    pub(crate) async fn token_of(&self, client: &str, subject: &str) -> String {
        let request = RefreshTokenRequest::new(client, subject);
        let token = self.setup.issuer.issue_refresh_token(&request).await.unwrap();
        let form = format!("grant_type=refresh_token&refresh_token={}", token.expose());
        self.send(client, &form).await.token().to_owned()
    }

    /// A token of `alice` for `orders` that was issued to `web`.
    pub(crate) async fn alice(&self) -> String {
        self.token_of("web", "alice").await
    }

    pub(crate) async fn exchange(&self, client: &str, token: &str, more: &str) -> Reply {
        self.send(client, &form(token, more)).await
    }
}

pub(crate) fn client(id: &str, resource: &str) -> Client {
    let secrets = ClientSecrets::new(tower_warden::api_key::KeyDigest::sha256("s3cret"));
    Client::new(id, resource).unwrap().authentication(ClientAuthentication::SecretPost(secrets)).grants([
        GrantType::ClientCredentials,
        GrantType::RefreshToken,
        GrantType::TokenExchange,
    ])
}

pub(crate) fn request(client: &str, form: &str) -> Request<Full<bytes::Bytes>> {
    form_request(&format!("client_id={client}&client_secret=s3cret&{form}"))
}

pub(crate) fn form(token: &str, more: &str) -> String {
    format!("grant_type={GRANT}&subject_token={token}&subject_token_type={ACCESS_TOKEN}&{more}")
}

#[tokio::test]
async fn an_api_exchanges_a_token_that_it_has_received() {
    let test = Exchange::new();
    let reply = test.exchange("orders", &test.alice().await, "").await;
    let claims = claims(reply.token());
    assert_eq!((&claims["sub"], &claims["client_id"]), (&"alice".into(), &"orders".into()));
    assert_eq!((&claims["aud"], &claims["scope"]), (&BILLING.into(), &"orders:read".into()));
    assert_eq!(claims["act"], json!({ "sub": "orders" }));
    assert_eq!((&reply.body["issued_token_type"], &reply.body["token_type"]), (&ACCESS_TOKEN.into(), &"Bearer".into()));
    assert!(reply.body.get("refresh_token").is_none());
    let identity = test.setup.verify(reply.token(), BILLING).await.unwrap();
    assert_eq!(&*identity.actors[0].subject, "orders");
}

#[tokio::test]
async fn a_client_narrows_its_own_token_and_is_no_actor() {
    let test = Exchange::new();
    let token = test.alice().await;
    let reply = test.exchange("web", &token, &format!("scope=orders:read&resource={ORDERS}")).await;
    let (old, new) = (claims(&token), claims(reply.token()));
    assert_eq!((&new["aud"], &new["scope"]), (&ORDERS.into(), &"orders:read".into()));
    assert_eq!((&new["sid"], new.get("act")), (&old["sid"], None));
    assert_ne!(new["jti"], old["jti"]);
}

#[tokio::test]
async fn scopes_never_grow_beyond_those_of_the_subject_token() {
    let test = Exchange::new();
    let narrow = test.exchange("web", &test.alice().await, "scope=orders:read").await.token().to_owned();
    test.exchange("web", &narrow, "scope=orders:write").await.assert_error(400, "invalid_scope");
    let reply = test.exchange("web", &narrow, "scope=orders:read+orders:write").await;
    assert_eq!(claims(reply.token())["scope"], "orders:read");
    assert_eq!(claims(test.exchange("web", &narrow, "").await.token())["scope"], "orders:read");
}

#[tokio::test]
async fn a_subject_token_without_scopes_yields_none() {
    let test = Exchange::new();
    test.setup.clients.insert(client("bare", ORDERS));
    let token = test.token_of("bare", "alice").await;
    test.exchange("orders", &token, "scope=orders:read").await.assert_error(400, "invalid_scope");
    let reply = test.exchange("orders", &token, "").await;
    assert!(claims(reply.token()).get("scope").is_none());
}

#[tokio::test]
async fn scopes_that_the_client_may_not_have_are_left_out() {
    let test = Exchange::new();
    let token = test.exchange("web", &test.alice().await, "scope=orders:write").await.token().to_owned();
    test.exchange("orders", &token, "").await.assert_error(400, "invalid_scope");
}

#[tokio::test]
async fn a_token_of_another_client_is_refused() {
    let test = Exchange::new();
    test.exchange("agent", &test.alice().await, "").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_token_for_an_api_that_the_client_does_not_serve_is_refused() {
    let test = Exchange::new();
    test.exchange("billing", &test.alice().await, "").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn resources_beyond_those_of_the_client_are_refused() {
    let test = Exchange::new();
    let token = test.alice().await;
    for target in [
        format!("resource={LEDGER}"),
        format!("audience={LEDGER}"),
        format!("resource={BILLING}&audience={LEDGER}"),
        format!("resource={BILLING}&resource={ORDERS}"),
        format!("resource={BILLING}%23part"),
        "audience=billing".into(),
    ] {
        test.exchange("orders", &token, &target).await.assert_error(400, "invalid_target");
    }
    let both = format!("resource={BILLING}&audience={BILLING}");
    assert_eq!(claims(test.exchange("orders", &token, &both).await.token())["aud"], BILLING);
}

#[tokio::test]
async fn the_new_token_expires_with_the_subject_token() {
    let test = Exchange::new();
    let token = test.alice().await;
    test.setup.advance(600);
    let reply = test.exchange("orders", &token, "").await;
    assert_eq!((&claims(reply.token())["exp"], &reply.body["expires_in"]), (&claims(&token)["exp"], &300.into()));
}

#[tokio::test]
async fn an_expired_subject_token_is_refused() {
    let test = Exchange::new();
    let token = test.alice().await;
    test.setup.advance(899);
    assert_eq!(test.exchange("orders", &token, "").await.body["expires_in"], 1);
    test.setup.advance(1);
    test.exchange("orders", &token, "").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_revoked_subject_token_is_refused() {
    let test = Exchange::new();
    let token = test.alice().await;
    let id = claims(&token)["jti"].as_str().unwrap().to_owned();
    test.list.revoke(Revocation::token(ISSUER, id), None).unwrap();
    test.exchange("orders", &token, "").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn the_new_token_is_revoked_with_the_session_of_the_subject_token() {
    let test = Exchange::new();
    let token = test.alice().await;
    let reply = test.exchange("orders", &token, "").await;
    let session = claims(&token)["sid"].as_str().unwrap().to_owned();
    test.list.revoke(Revocation::session(ISSUER, session), None).unwrap();
    let identity = test.setup.verify(reply.token(), BILLING).await.unwrap();
    assert!(test.list.is_revoked(&identity).wait().await.unwrap());
}

#[tokio::test]
async fn nothing_is_issued_while_the_revocation_list_is_down() {
    struct Down;
    impl RevocationList for Down {
        fn is_revoked(&self, _: &Identity) -> Eventual<Result<bool, Unavailable>> {
            Eventual::Now(Err(Unavailable::new("the list")))
        }
    }
    impl Revoker for Down {
        fn revoke(&self, _: Revocation, _: UnixTime) -> Eventual<Result<(), Unavailable>> {
            Eventual::Now(Err(Unavailable::new("the list")))
        }
    }
    let test = Exchange::with(|builder| builder.token_exchange(TokenExchange::default()).revocations(Down));
    let reply = test.exchange("orders", &test.alice().await, "").await;
    reply.assert_error(503, "temporarily_unavailable");
}

#[tokio::test]
async fn a_token_that_another_issuer_has_signed_is_refused() {
    let test = Exchange::new();
    let environment = Environment::default().with_clock(test.setup.clock.clone());
    for name in [ISSUER, "https://other.example.com"] {
        let other = TestIssuer::new(name).environment(&environment);
        let token = other.token("alice").audience(ORDERS).client_id("web").scope("orders:read").sign();
        test.exchange("orders", &token, "").await.assert_error(400, "invalid_request");
        test.exchange("web", &token, "").await.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn tokens_of_other_kinds_are_refused() {
    let test = Exchange::new();
    let refresh = test.setup.issuer.issue_refresh_token(&RefreshTokenRequest::new("web", "alice")).await.unwrap();
    for token in [refresh.expose(), "guess", "a.b.c", "..", &"a".repeat(20_000)] {
        test.exchange("web", token, "").await.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_request_without_a_subject_token_or_its_type_is_refused() {
    let test = Exchange::new();
    let token = test.alice().await;
    for form in [
        format!("grant_type={GRANT}"),
        format!("grant_type={GRANT}&subject_token={token}"),
        format!("grant_type={GRANT}&subject_token_type={ACCESS_TOKEN}"),
        format!("grant_type={GRANT}&subject_token=&subject_token_type={ACCESS_TOKEN}"),
        format!("grant_type={GRANT}&subject_token={token}&subject_token_type=access_token"),
        format!(
            "grant_type={GRANT}&subject_token={token}&subject_token_type=urn:ietf:params:oauth:token-type:id_token"
        ),
    ] {
        test.send("web", &form).await.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn the_issued_type_is_the_requested_one() {
    let test = Exchange::new();
    let token = test.alice().await;
    for kind in [ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt"] {
        let reply = test.exchange("web", &token, &format!("requested_token_type={kind}")).await;
        assert_eq!((&reply.body["issued_token_type"], reply.token().is_empty()), (&kind.into(), false));
    }
    for kind in ["urn:ietf:params:oauth:token-type:refresh_token", "urn:ietf:params:oauth:token-type:saml2", "jwt"] {
        let reply = test.exchange("web", &token, &format!("requested_token_type={kind}")).await;
        reply.assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_client_that_does_not_authenticate_is_refused() {
    let test = Exchange::new();
    let form = form(&test.alice().await, "client_id=web");
    test.setup.send(form_request(&form)).await.assert_error(401, "invalid_client");
}

#[tokio::test]
async fn a_client_without_the_grant_is_refused() {
    let test = Exchange::new();
    let token = test.alice().await;
    test.setup.clients.insert(client("web", ORDERS).grants([GrantType::ClientCredentials]));
    test.exchange("web", &token, "").await.assert_error(400, "unauthorized_client");
}

#[tokio::test]
async fn the_grant_is_supported_and_stated_only_with_settings() {
    let without = Exchange::with(|builder| builder);
    without.exchange("web", &without.alice().await, "").await.assert_error(400, "unsupported_grant_type");
    assert!(!without.setup.issuer.metadata().contains(GRANT));
    assert!(Exchange::new().setup.issuer.metadata().contains(GRANT));
}

#[tokio::test]
async fn the_claims_of_the_application_are_those_for_the_subject() {
    let test = Exchange::with(|builder| {
        builder.token_exchange(TokenExchange::default()).claims(|request: &ClaimsRequest<'_>| {
            if request.grant != GrantType::TokenExchange {
                return Ok(ExtraClaims::default());
            }
            assert_eq!((request.subject, &*request.actors[0].subject), ("alice", "orders"));
            assert_eq!(request.presented.unwrap().client_id.as_deref(), Some("web"));
            ExtraClaims::default().with("tenant", "acme").map_err(|_| ClaimsError::Refused)
        })
    });
    let reply = test.exchange("orders", &test.alice().await, "").await;
    assert_eq!(claims(reply.token())["tenant"], "acme");
}

#[tokio::test]
async fn a_suspended_subject_gets_no_token() {
    let test = Exchange::with(|builder| {
        builder.token_exchange(TokenExchange::default()).claims(|request: &ClaimsRequest<'_>| match request.grant {
            GrantType::TokenExchange => Err(ClaimsError::Refused),
            _ => Ok(ExtraClaims::default()),
        })
    });
    test.exchange("orders", &test.alice().await, "").await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn a_token_that_a_client_has_for_itself_can_be_exchanged() {
    let test = Exchange::new();
    let token = test.send("agent", CLIENT_CREDENTIALS).await.token().to_owned();
    let claims = claims(test.exchange("orders", &token, "").await.token());
    assert_eq!((&claims["sub"], &claims["act"]["sub"]), (&"agent".into(), &"orders".into()));
}
