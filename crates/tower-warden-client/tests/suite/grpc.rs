//! Refusals over gRPC: responses with the status 200 whose head has the code.

use std::convert::Infallible;

use http::{HeaderName, Request, Response, StatusCode, header};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    Environment, ManualClock,
    caller::Confirmation,
    dpop::{Dpop, Nonces},
    jwt::{Issuer, Jwt},
    layer::AuthLayer,
    refusal::GrpcStatus,
    testing::TestIssuer,
};
use tower_warden_client::{
    DpopKey, Token, TokenLayer,
    grant::{ClientCredentials, StaticKey},
    replay::ReplayNever,
    retry::{RetryCause, RetryEnd, RetryLayer},
};

use crate::{
    credentials::{build, clock, secrets},
    dpop::Bound,
    server::{self, assert_outcome, summary},
    support::{Body, NOW, PausedClock, Received, Server, get, issued, reply, response},
};

const API: &str = "https://api.example";
const INVALID: &str = r#"Bearer error="invalid_token""#;

/// A response without messages.
fn refusal(code: &str, challenge: &str) -> Response<Body> {
    let mut response = response(200, challenge);
    response.headers_mut().insert(HeaderName::from_static("grpc-status"), code.parse().unwrap());
    response
}

/// An API that accepts one token.
fn accepting(token: &'static str) -> impl Fn(&Request<Body>) -> Response<Body> + Clone + Send + Sync + 'static {
    move |request| {
        let is_valid = request.headers()[header::AUTHORIZATION] == *format!("Bearer {token}");
        if is_valid { response(200, "") } else { refusal("16", INVALID) }
    }
}

/// (200)
#[tokio::test(start_paused = true)]
async fn a_token_that_is_unauthenticated_over_grpc_is_replaced() {
    let (server, received) = (Server::default(), Received::default());
    let layer = TokenLayer::new(server.cached(&PausedClock::environment()), API).unwrap();
    let last = layer.layer(received.api(accepting("token-2"))).oneshot(get(API)).await.unwrap();
    assert!(!last.headers().contains_key("grpc-status"));
    assert_eq!(received.tokens(), ["Bearer token-1", "Bearer token-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_unauthenticated_over_grpc_is_dropped_although_the_body_cannot_be_copied() {
    let (server, received) = (Server::default(), Received::default());
    let layer = TokenLayer::new(server.cached(&PausedClock::environment()), API).unwrap().replay(ReplayNever);
    let client = layer.layer(received.api(accepting("token-2")));
    assert_eq!(client.clone().oneshot(get(API)).await.unwrap().headers()["grpc-status"], "16");
    assert!(!client.oneshot(get(API)).await.unwrap().headers().contains_key("grpc-status"));
}

/// (200)
#[tokio::test(start_paused = true)]
async fn other_codes_of_grpc_are_not_about_the_token() {
    for (code, challenge) in [("0", ""), ("3", INVALID), ("7", INVALID), ("13", INVALID), ("160", INVALID), ("", "")] {
        let (server, received) = (Server::default(), Received::default());
        let layer = TokenLayer::new(server.cached(&PausedClock::environment()), API).unwrap();
        let client = layer.layer(received.api(move |_| refusal(code, challenge)));
        client.oneshot(get(API)).await.unwrap();
        assert_eq!((received.count(), server.count()), (1, 1), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_is_denied_over_grpc_leads_to_a_step_up() {
    let (server, received) = (Server::default(), Received::default());
    server.next([reply(200, &issued("token-read", "")), reply(200, &issued("token-write", ""))]);
    let grant = ClientCredentials::new(server.endpoint()).scopes("read".parse().unwrap());
    let layer = TokenLayer::new(grant, API).unwrap().step_up(2.try_into().unwrap());
    let client = layer.layer(received.api(|request| {
        let is_writing = request.headers()[header::AUTHORIZATION] == "Bearer token-write";
        let lacking = r#"Bearer error="insufficient_scope", scope="write""#;
        if is_writing { response(200, "") } else { refusal("7", lacking) }
    }));
    client.oneshot(get(API)).await.unwrap();
    assert_eq!(received.tokens(), ["Bearer token-read", "Bearer token-write"]);
}

#[tokio::test]
async fn a_nonce_that_is_demanded_over_grpc_is_sent() {
    let environment = Environment::default().with_clock(ManualClock::at(NOW));
    let issuer = TestIssuer::new("https://auth.example").environment(&environment);
    let dpop = Dpop::new(API).unwrap().nonces(Nonces::random().unwrap());
    let jwt = Jwt::new(Issuer::new(issuer.name(), API).unwrap(), issuer.clone());
    let api = AuthLayer::new(jwt).environment(&environment).dpop(dpop).respond_with(GrpcStatus::default());
    let api = api.layer(service_fn(async |_: Request<Body>| Ok::<_, Infallible>(response(200, ""))));

    let key = DpopKey::generate().unwrap();
    let token = issuer.token("agent").audience(API).confirmation(&Confirmation::key(key.thumbprint())).sign();
    let source = Bound(Token::dpop(&token, key).unwrap());
    let client = TokenLayer::new(source, API).unwrap().environment(&environment).layer(api);
    let last = client.oneshot(get("https://api.example/a")).await.unwrap();
    assert!(!last.headers().contains_key("grpc-status"), "{last:?}");
}

#[tokio::test]
async fn a_key_that_is_unauthenticated_over_grpc_is_no_credential_until_it_is_accepted() {
    let (environment, _) = clock();
    let services = json!({ "reports": { "kind": "api_key", "origin": API, "key_name": "REPORTS" } });
    let credentials = build(&services, secrets()).environment(&environment).load().await.unwrap();
    for (code, has_token) in [("16", false), ("14", false), ("0", true)] {
        let client = credentials.layer_for("reports").unwrap();
        client.layer(Received::default().api(move |_| refusal(code, ""))).oneshot(get(API)).await.unwrap();
        assert_eq!(credentials.status()[0].has_token(), has_token, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_unavailable_over_grpc_is_called_again() {
    for (headers, status, pause) in [
        (&[("grpc-status", "14"), ("retry-after", "7")][..], StatusCode::SERVICE_UNAVAILABLE, 7),
        (&[("grpc-status", "8"), ("retry-after", "3")], StatusCode::TOO_MANY_REQUESTS, 3),
    ] {
        let server = server::Server::new([Ok(server::response(200, headers))]);
        let mut request = server::post();
        request.headers_mut().insert("idempotency-key", "7f3c".parse().unwrap());
        let last = RetryLayer::new().layer(server.clone()).oneshot(request).await.unwrap();
        assert_outcome(&last, StatusCode::OK, 2, RetryEnd::Final);
        assert_eq!((server.pauses(), summary(&last).retries()[0].cause), (vec![pause], RetryCause::Status(status)));
    }
    let busy = server::Server::new([Ok(server::response(200, &[("grpc-status", "14")]))]);
    let last = RetryLayer::new().layer(busy).oneshot(server::post()).await.unwrap();
    assert_outcome(&last, StatusCode::OK, 1, RetryEnd::NotIdempotent);
}

#[tokio::test(start_paused = true)]
async fn other_codes_of_grpc_are_never_retried() {
    for code in ["3", "4", "7", "8", "13", "16"] {
        let server = server::Server::new([Ok(server::response(200, &[("grpc-status", code)]))]);
        let last = RetryLayer::new().layer(server.clone()).oneshot(server::get()).await.unwrap();
        assert_outcome(&last, StatusCode::OK, 1, RetryEnd::Final);
    }
}

#[tokio::test]
async fn a_static_key_that_is_unauthenticated_over_grpc_is_not_sent_again() {
    let received = Received::default();
    let layer = TokenLayer::new(StaticKey::bearer("key").unwrap(), API).unwrap();
    layer.layer(received.api(accepting("other"))).oneshot(get(API)).await.unwrap();
    assert_eq!(received.count(), 1);
}
