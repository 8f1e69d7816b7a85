//! One format of refusals for a whole application.

use std::{convert::Infallible, num::NonZeroU32};

use axum::{Router, body::Body, http::Request, response::Response, routing::get};
use tower::{ServiceBuilder, ServiceExt};
use tower_warden::{
    Environment, Principal, Reason, Rejection, RejectionKind,
    api_key::{NewKey, key_routes},
    axum::Scoped,
    body::BufferedRequest,
    layer::{AuthLayer, AuthorizeLayer, BodyCheckLayer, ConcurrencyLayer, RateLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
    refusal::{GrpcStatus, respond_fn},
    scope::{Scopes, scopes},
};

use crate::support::{Answer, Stack};

scopes! {
    /// Read.
    Read = "read";
}

fn own(rejection: &Rejection) -> Response {
    Response::new(Body::from(format!("own: {}", rejection.code())))
}

fn auth(stack: &Stack) -> AuthLayer {
    AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()))
}

async fn call(app: &Router, method: &str, path: &str, key: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    Answer::read(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
}

async fn key(stack: &Stack, scopes: &str) -> String {
    stack.mint(NewKey::new("alice").scopes(Scopes::parse(scopes).unwrap())).await.1.expose().to_owned()
}

#[tokio::test]
async fn the_responder_of_the_outer_layer_holds_for_layers_and_extractors_inside() {
    let stack = Stack::new();
    let key = key(&stack, "").await;
    let exhausted =
        RateLimitLayer::new("calls", LocalRateLimiter::default(), LimitBy::global(), Quota::per_day(1)).cost(|_| 1);
    let full = ConcurrencyLayer::new(LimitBy::global(), NonZeroU32::MIN);
    let refuses = |_: &BufferedRequest<'_>| Err(Rejection::new(RejectionKind::BodyInvalid, Reason::custom("test")));
    let route = || get(async || "hello");
    let app = Router::new()
        .route("/policy", route().layer(AuthorizeLayer::scoped::<Read>()))
        .route("/closure", route().layer(AuthorizeLayer::when(|_, _| false)))
        .route("/limit", route().layer(exhausted))
        .route("/body", route().layer(BodyCheckLayer::new(refuses)))
        .route("/extractor", get(async |_: Scoped<Read>| "hello").layer(full))
        .layer(auth(&stack).respond_with(own));
    assert_eq!(call(&app, "GET", "/policy", None).await.body, "own: credential_required");
    assert_eq!(call(&app, "GET", "/limit", Some(&key)).await.body, "hello");
    for (path, status, code) in [
        ("/policy", 403, "insufficient_scope"),
        ("/closure", 403, "access_denied"),
        ("/limit", 429, "quota_exceeded"),
        ("/body", 400, "invalid_content"),
        ("/extractor", 403, "insufficient_scope"),
    ] {
        let refused = call(&app, "GET", path, Some(&key)).await;
        assert_eq!((refused.status.as_u16(), refused.body), (status, format!("own: {code}")), "{path}");
    }
}

#[tokio::test]
async fn a_layer_without_a_responder_does_not_replace_that_of_a_layer_inside() {
    let stack = Stack::new();
    let key = key(&stack, "").await;
    let outer = RateLimitLayer::new("calls", LocalRateLimiter::default(), LimitBy::global(), Quota::per_day(9));
    let app = Router::new()
        .route("/policy", get(async || "hello").layer(AuthorizeLayer::scoped::<Read>()))
        .route("/extractor", get(async |_: Scoped<Read>| "hello"))
        .layer(auth(&stack).respond_with(own))
        .layer(outer);
    for path in ["/policy", "/extractor"] {
        assert_eq!(call(&app, "GET", path, Some(&key)).await.body, "own: insufficient_scope", "{path}");
    }
    assert_eq!(call(&app, "GET", "/policy", None).await.body, "own: credential_required");
}

#[tokio::test]
async fn a_layer_inside_keeps_a_responder_of_its_own() {
    let stack = Stack::new();
    let key = key(&stack, "").await;
    let inner = AuthorizeLayer::scoped::<Read>()
        .respond_with(respond_fn(|rejection| Response::new(Body::from(format!("inner: {}", rejection.code())))));
    let app = Router::new().route("/", get(async || "hello")).layer(inner).layer(auth(&stack).respond_with(own));
    assert_eq!(call(&app, "GET", "/", Some(&key)).await.body, "inner: insufficient_scope");
}

#[tokio::test]
async fn errors_of_the_key_routes_have_the_format_of_the_outer_layer() {
    let stack = Stack::new();
    let (admin, agent) = (key(&stack, "keys:admin").await, key(&stack, "").await);
    let app: Router = Router::new().nest("/keys", key_routes(stack.keys.clone())).layer(auth(&stack).respond_with(own));
    assert_eq!(call(&app, "GET", "/keys?limit=x", Some(&admin)).await.body, "own: invalid_request");
    assert_eq!(call(&app, "DELETE", "/keys/0000000000000000", Some(&admin)).await.body, "own: key_not_found");
    assert_eq!(call(&app, "GET", "/keys", Some(&agent)).await.body, "own: insufficient_scope");
    stack.store.set(crate::support::Mode::Fail);
    let down = call(&app, "GET", "/keys", Some(&admin)).await;
    assert_eq!((down.status.as_u16(), &*down.body), (503, "own: temporarily_unavailable"));
}

#[tokio::test]
async fn a_grpc_status_outside_replaces_the_problems_inside() {
    let stack = Stack::new();
    let key = key(&stack, "").await;
    let service = ServiceBuilder::new()
        .layer(auth(&stack).respond_with(GrpcStatus::default()))
        .layer(AuthorizeLayer::scoped::<Read>())
        .service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("hello"))));
    let request = Request::builder().header("x-api-key", key).body(Body::empty()).unwrap();
    let refused = Answer::read(service.oneshot(request).await.unwrap()).await;
    assert_eq!((refused.status.as_u16(), refused.header("grpc-status"), &*refused.body), (200, Some("7"), ""));
}

#[tokio::test]
async fn a_refusal_that_a_handler_has_formatted_itself_stays_as_it_is() {
    let stack = Stack::new();
    let key = key(&stack, "").await;
    let handler = async |_: Principal| {
        let rejection = Rejection::new(RejectionKind::Forbidden, Reason::custom("test"));
        rejection.apply_to(Response::new(Body::from("the handler's")))
    };
    let app = Router::new().route("/", get(handler)).layer(auth(&stack).respond_with(own));
    assert_eq!(call(&app, "GET", "/", Some(&key)).await.body, "the handler's");
}
