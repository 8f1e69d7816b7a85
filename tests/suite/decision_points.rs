//! Policies that another server decides, over HTTP.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Redirect, Response},
};
use serde_json::{Value, json};
use tower::ServiceBuilder;
use tower_warden::{
    ConfigErrorKind, Environment, Eventual, Policy, Unavailable,
    api_key::NewKey,
    auth::CredentialSource,
    decision_point::{AccessRequest, DecisionPoint, DecisionPointBuilder, OpaInput},
    fetch::Fetch,
    jwt::{Issuer, Jwt},
    layer::{AuthLayer, AuthorizeLayer},
    scheme::{Bearer, Location},
    testing::TestIssuer,
};

use crate::support::{Answer, Stack, answer, bearer, send};

/// A server that responds as it is told, and what it has received.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Exchanges>>);

#[derive(Default)]
struct Exchanges {
    received: Vec<(Uri, HeaderMap, Value)>,
    response: Reply,
}

/// What the server does.
#[derive(Clone, Default)]
enum Reply {
    #[default]
    Hang,
    Json(Value),
    Redirect,
    Status(u16, Value),
    Text(&'static str),
}

impl Server {
    async fn start(response: Reply) -> (Self, SocketAddr) {
        let this = Self::default();
        this.reply(response);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(Self::respond).with_state(this.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        (this, address)
    }

    fn reply(&self, response: Reply) {
        self.0.lock().unwrap().response = response;
    }

    async fn respond(State(this): State<Self>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
        let response = {
            let mut exchanges = this.0.lock().unwrap();
            exchanges.received.push((uri, headers, serde_json::from_slice(&body).unwrap()));
            exchanges.response.clone()
        };
        match response {
            Reply::Hang => std::future::pending().await,
            Reply::Json(json) => axum::Json(json).into_response(),
            Reply::Redirect => Redirect::temporary("/elsewhere").into_response(),
            Reply::Status(status, json) => (StatusCode::from_u16(status).unwrap(), axum::Json(json)).into_response(),
            Reply::Text(text) => text.into_response(),
        }
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().received.len()
    }

    fn last(&self) -> (Uri, HeaderMap, Value) {
        self.0.lock().unwrap().received.last().unwrap().clone()
    }
}

fn authzen(address: SocketAddr) -> DecisionPointBuilder {
    let policy = DecisionPoint::authzen(&format!("http://{address}"), |caller, head| {
        AccessRequest::new(caller, head.method.as_str(), "path", head.uri.path()).context("tier", caller.tier())
    });
    // Longer than any machine needs.
    policy.timeout(Duration::from_secs(600))
}

fn opa(address: SocketAddr) -> DecisionPointBuilder {
    let policy = DecisionPoint::opa(&format!("http://{address}/"), "gateway/allow", |caller, head| {
        OpaInput::default().insert("subject", caller.subject()).insert("path", head.uri.path())
    });
    policy.timeout(Duration::from_secs(600))
}

/// A caller, and the stack that knows it.
struct Caller {
    stack: Stack,
    key: String,
}

impl Caller {
    async fn new() -> Self {
        let stack = Stack::new();
        let (_, key) = stack.mint(NewKey::new("alice").tenant("acme").scopes("read")).await;
        Self { stack, key: key.expose().to_owned() }
    }

    fn environment(&self) -> Environment {
        Environment::default().with_clock(self.stack.clock.clone())
    }

    async fn ask(&self, policy: impl Policy) -> Answer {
        self.get(policy, "/").await
    }

    async fn get(&self, policy: impl Policy, path: &str) -> Answer {
        let auth = AuthLayer::new(self.stack.keys.clone()).environment(&self.environment());
        let service = ServiceBuilder::new().layer(auth).layer(AuthorizeLayer::new(policy)).service_fn(answer);
        send(service, bearer(&self.key).uri(path)).await
    }
}

#[tokio::test]
async fn authzen_is_sent_subject_action_and_resource() {
    let caller = Caller::new().await;
    let (server, address) = Server::start(Reply::Json(json!({ "decision": true }))).await;
    let policy = authzen(address).bearer("a.token").build().unwrap();
    caller.get(policy.clone(), "/notes/7?secret=1").await.assert_subject("alice");
    let (uri, headers, body) = server.last();
    assert_eq!(uri, "/access/v1/evaluation");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["authorization"], "Bearer a.token");
    assert_eq!(
        body,
        json!({
            "subject": {
                "type": "identity",
                "id": "alice",
                "properties": { "tenant": "acme", "method": "api_key", "roles": [], "scopes": ["read"] },
            },
            "action": { "name": "GET", "properties": {} },
            "resource": { "type": "path", "id": "/notes/7", "properties": {} },
            "context": { "tier": null },
        })
    );
    assert!(!format!("{policy:?}").contains("a.token"));
}

#[tokio::test]
async fn a_denial_of_authzen_is_status_200_and_refuses() {
    let caller = Caller::new().await;
    let (server, address) = Server::start(Reply::Json(json!({ "decision": false, "context": { "id": "1" } }))).await;
    let policy = authzen(address).build().unwrap();
    let refused = caller.ask(policy.clone()).await;
    refused.assert_reason(403, "decision_denied");
    assert_eq!(refused.header("www-authenticate"), None);
    server.reply(Reply::Json(json!({ "decision": true })));
    caller.ask(policy).await.assert_subject("alice");
}

#[tokio::test]
async fn a_response_of_authzen_without_a_decision_refuses() {
    let caller = Caller::new().await;
    let (server, address) = Server::start(Reply::Json(json!({}))).await;
    let policy = authzen(address).build().unwrap();
    caller.ask(policy.clone()).await.assert_reason(403, "policy_undefined");
    caller.ask(policy.clone().not()).await.assert_reason(403, "policy_undefined");
    for decision in [json!("true"), json!(1), json!(null), json!({ "allow": true })] {
        server.reply(Reply::Json(json!({ "decision": decision })));
        caller.ask(policy.clone()).await.assert_reason(403, "policy_failed");
    }
}

#[tokio::test]
async fn opa_is_sent_the_input_and_returns_the_result() {
    let caller = Caller::new().await;
    let (server, address) = Server::start(Reply::Json(json!({ "result": true, "decision_id": "1" }))).await;
    let policy = opa(address).build().unwrap();
    caller.get(policy.clone(), "/notes").await.assert_subject("alice");
    let (uri, headers, body) = server.last();
    assert_eq!(uri, "/v1/data/gateway/allow");
    assert!(!headers.contains_key("authorization"));
    assert_eq!(body, json!({ "input": { "subject": "alice", "path": "/notes" } }));
    for (response, reason) in [
        (json!({ "result": false }), "decision_denied"),
        (json!({ "result": { "allow": false } }), "decision_denied"),
        (json!({}), "policy_undefined"),
        (json!({ "result": {} }), "policy_undefined"),
        (json!({ "result": [true] }), "policy_failed"),
        (json!({ "result": "true" }), "policy_failed"),
        (json!({ "decision": true }), "policy_undefined"),
    ] {
        server.reply(Reply::Json(response));
        caller.ask(policy.clone()).await.assert_reason(403, reason);
    }
    server.reply(Reply::Json(json!({ "result": { "allow": true } })));
    caller.ask(policy).await.assert_subject("alice");
}

/// (176)
#[tokio::test]
async fn a_server_that_does_not_decide_is_503() {
    let caller = Caller::new().await;
    let (server, address) = Server::start(Reply::Redirect).await;
    for policy in [authzen(address).build().unwrap(), opa(address).build().unwrap()] {
        for (reply, reason) in [
            (Reply::Redirect, "decision_point_status"),
            (Reply::Status(400, json!({ "decision": true, "result": true })), "decision_point_status"),
            (Reply::Status(401, json!({ "decision": true })), "decision_point_status"),
            (Reply::Status(500, json!({ "decision": true, "result": true })), "decision_point_status"),
            (Reply::Status(201, json!({ "decision": true, "result": true })), "decision_point_status"),
            (Reply::Text("true"), "decision_point_syntax"),
            (Reply::Text(r#"{"decision": false, "decision": true, "result": true}"#), "decision_point_syntax"),
            (Reply::Text("<html>"), "decision_point_syntax"),
        ] {
            server.reply(reply);
            caller.ask(policy.clone()).await.assert_unavailable(reason);
            caller.ask(policy.clone().not()).await.assert_unavailable(reason);
        }
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_503() {
    let caller = Caller::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    caller.ask(authzen(address).build().unwrap()).await.assert_unavailable("decision_point_unavailable");
}

/// A client whose server never responds.
struct Silent;

impl Fetch for Silent {
    fn fetch(&self, _: http::Request<Bytes>, _: usize) -> Eventual<Result<http::Response<Bytes>, Unavailable>> {
        Eventual::later(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_respond_in_time_is_503() {
    let caller = Caller::new().await;
    let policy = DecisionPoint::opa("https://opa.example", "a", |_, _| OpaInput::default()).fetch(Silent);
    caller.ask(policy.build().unwrap()).await.assert_unavailable("decision_point_timeout");
}

#[tokio::test]
async fn without_a_cache_each_request_is_decided_by_the_server() {
    let caller = Caller::new().await;
    let (server, address) = Server::start(Reply::Json(json!({ "decision": true }))).await;
    let policy = authzen(address).build().unwrap();
    for _ in 0..3 {
        caller.ask(policy.clone()).await.assert_subject("alice");
    }
    assert_eq!(server.count(), 3);
}

/// A server that responds to a query when another one has arrived.
#[derive(Clone)]
struct Pairs(Arc<tokio::sync::Barrier>);

impl Fetch for Pairs {
    fn fetch(&self, _: http::Request<Bytes>, _: usize) -> Eventual<Result<http::Response<Bytes>, Unavailable>> {
        let barrier = Arc::clone(&self.0);
        Eventual::later(async move {
            barrier.wait().await;
            Ok(http::Response::new(Bytes::from_static(br#"{"decision": true}"#)))
        })
    }
}

/// (170)
#[tokio::test(start_paused = true)]
async fn without_a_cache_concurrent_requests_share_no_decision() {
    let caller = Caller::new().await;
    let pairs = Pairs(Arc::new(tokio::sync::Barrier::new(2)));
    let policy = || {
        let policy =
            DecisionPoint::authzen("https://pdp.example", |caller, _| AccessRequest::new(caller, "a", "b", "c"));
        policy.fetch(pairs.clone())
    };
    for policy in [policy(), policy().cache(0, Duration::from_secs(10)), policy().cache(10, Duration::ZERO)] {
        let policy = policy.build().unwrap();
        let (first, second) = tokio::join!(caller.ask(policy.clone()), caller.ask(policy));
        first.assert_subject("alice");
        second.assert_subject("alice");
    }
    let cached = policy().cache(10, Duration::from_secs(10)).build().unwrap();
    let (first, second) = tokio::join!(caller.ask(cached.clone()), caller.ask(cached));
    first.assert_unavailable("decision_point_timeout");
    second.assert_unavailable("decision_point_timeout");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_panics_is_500_and_the_next_query_is_another_one() {
    struct Panics;
    impl Fetch for Panics {
        fn fetch(&self, _: http::Request<Bytes>, _: usize) -> Eventual<Result<http::Response<Bytes>, Unavailable>> {
            Eventual::later(async { panic!("told to") })
        }
    }
    let caller = Caller::new().await;
    let policy = DecisionPoint::opa("https://opa.example", "a", |_, _| OpaInput::default()).fetch(Panics);
    let policy = policy.max_lookups(std::num::NonZeroUsize::MIN).build().unwrap();
    for _ in 0..3 {
        caller.ask(policy.clone()).await.assert_reason(500, "panicked");
    }
}

/// (169)
#[tokio::test]
async fn authzen_is_sent_the_subject_that_the_caller_acts_for() {
    let caller = Caller::new().await;
    let (server, address) = Server::start(Reply::Json(json!({ "decision": true }))).await;
    let issuer = TestIssuer::new("https://issuer.test").environment(&caller.environment());
    let rules = Issuer::new(issuer.name(), "https://api.test").unwrap().tenant_claim("tenant").roles_claim("roles");
    let user = CredentialSource::new(Jwt::new(rules, issuer.clone()));
    let user = user.scheme(Bearer::from(Location::header("x-user-token")));
    let auth = AuthLayer::new(caller.stack.keys.clone()).environment(&caller.environment()).acting_for(user).unwrap();
    let policy = authzen(address).build().unwrap();
    let service = ServiceBuilder::new().layer(auth).layer(AuthorizeLayer::new(policy)).service_fn(answer);
    let token = issuer.token("bob").audience("https://api.test").scope("write").claim("tenant", "acme");
    let request = crate::support::request().header("x-api-key", &caller.key);
    let token = token.claim("roles", ["staff"]).sign();
    send(service, request.header("x-user-token", token)).await.assert_subject("alice");
    let (_, _, body) = server.last();
    assert_eq!(body["subject"]["id"], "alice");
    assert_eq!(body["subject"]["properties"]["scopes"], json!(["read"]));
    assert_eq!(
        body["subject"]["properties"]["acting_for"],
        json!({
            "type": "identity",
            "id": "bob",
            "properties": {
                "issuer": "https://issuer.test",
                "tenant": "acme",
                "method": "jwt",
                "roles": ["staff"],
                "scopes": ["write"],
            },
        })
    );
}

#[tokio::test]
async fn decisions_are_cached_by_what_is_sent() {
    let caller = Caller::new().await;
    let (server, address) = Server::start(Reply::Json(json!({ "decision": true }))).await;
    let policy = authzen(address).environment(&caller.environment()).cache(100, Duration::from_secs(10));
    let policy = policy.build().unwrap();
    for _ in 0..2 {
        caller.get(policy.clone(), "/a").await.assert_subject("alice");
        caller.get(policy.clone(), "/a?other").await.assert_subject("alice");
        caller.get(policy.clone(), "/b").await.assert_subject("alice");
    }
    assert_eq!(server.count(), 2);
    server.reply(Reply::Json(json!({ "decision": false })));
    caller.stack.clock.advance(Duration::from_secs(9));
    caller.get(policy.clone(), "/a").await.assert_subject("alice");
    caller.stack.clock.advance(Duration::from_secs(1));
    caller.get(policy.clone(), "/a").await.assert_reason(403, "decision_denied");
    caller.get(policy.clone(), "/a").await.assert_reason(403, "decision_denied");
    assert_eq!(server.count(), 3);
    server.reply(Reply::Json(json!({ "decision": true })));
    policy.invalidate_all();
    caller.get(policy, "/a").await.assert_subject("alice");
}

#[tokio::test]
async fn outages_are_not_cached() {
    let caller = Caller::new().await;
    let (server, address) = Server::start(Reply::Status(503, json!({}))).await;
    let policy = opa(address).environment(&caller.environment()).cache(100, Duration::from_secs(10)).build().unwrap();
    caller.ask(policy.clone()).await.assert_unavailable("decision_point_status");
    server.reply(Reply::Json(json!({ "result": true })));
    caller.ask(policy.clone()).await.assert_subject("alice");
    server.reply(Reply::Status(503, json!({})));
    caller.ask(policy).await.assert_subject("alice");
}

#[tokio::test]
async fn what_cannot_be_serialized_refuses_without_a_query() {
    let caller = Caller::new().await;
    let (server, address) = Server::start(Reply::Json(json!({ "decision": true, "result": true }))).await;
    let unusable = || std::collections::BTreeMap::from([((1, 2), 3)]);
    let url = format!("http://{address}");
    let opa = DecisionPoint::opa(&url, "a", move |_, _| OpaInput::default().insert("a", unusable()).insert("b", 1));
    let authzen = DecisionPoint::authzen(&url, move |caller, _| {
        AccessRequest::new(caller, "a", "b", "c").resource_property("d", unusable())
    });
    for policy in [opa, authzen] {
        caller.ask(policy.build().unwrap()).await.assert_reason(403, "policy_failed");
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn urls_rules_and_tokens_are_checked_at_start() {
    let opa = |url: &str, rule: &str| DecisionPoint::opa(url, rule, |_, _| OpaInput::default()).build();
    for url in [
        "http://opa.example",
        "https://opa.example?key=secret",
        "https://opa.example/#a",
        "https://user:secret@opa.example",
        "opa.example",
        "",
    ] {
        let error = opa(url, "gateway/allow").unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::DecisionPoint, "{url}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    for rule in ["", "/gateway", "gateway/", "gateway.allow", "a//b", "a/../b", "a?pretty", "ä"] {
        assert_eq!(opa("https://opa.example", rule).unwrap_err().kind(), ConfigErrorKind::DecisionPoint, "{rule}");
    }
    assert!(opa("https://opa.example/base/", "gateway/allow").is_ok());
    let authzen =
        || DecisionPoint::authzen("https://pdp.example", |caller, _| AccessRequest::new(caller, "a", "b", "c"));
    for token in ["a\nb", "", "a b", "=", "a=b", "a,b", "\u{e4}"] {
        let error = authzen().bearer(token).build().unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::DecisionPoint, "{token}");
        assert!(!error.to_string().contains("a b"), "{error}");
    }
    assert!(authzen().bearer("aZ09-._~+/==").build().is_ok());
}
