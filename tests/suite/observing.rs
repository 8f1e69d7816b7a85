//! What layers outside of the authentication see of a request: no credential, and who the caller is.

use std::convert::Infallible;

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::{compression::CompressionLayer, limit::RequestBodyLimitLayer, trace::TraceLayer};
use tower_warden::{
    Environment, Principal,
    api_key::NewKey,
    auth::CredentialSource,
    axum::Scoped,
    layer::{AuthLayer, AuthorizeLayer, RateLimitLayer, RefusalBodyLayer},
    rate_limit::{LimitBy, LocalRateLimiter, Quota},
    scheme::{ApiKeyHeader, Bearer, Location},
    scope::scopes,
};

use crate::{
    secrets::listen,
    support::{Answer, Stack, answer, send, unknown_key},
};

scopes! {
    /// Read.
    Read = "read";
}

fn auth(stack: &Stack) -> AuthLayer {
    AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()))
}

/// The header fields of a request as a layer between the two prints them.
async fn printed(auth: AuthLayer, request: http::request::Builder) -> String {
    let (send_seen, seen) = std::sync::mpsc::channel();
    let service = ServiceBuilder::new()
        .layer(auth.conceal_layer())
        .map_request(move |request: Request<Full<Bytes>>| {
            send_seen.send(format!("{:?}", request.headers())).unwrap();
            request
        })
        .layer(auth)
        .service_fn(answer);
    let _ = service.oneshot(request.body(Full::default()).unwrap()).await.unwrap();
    seen.recv().unwrap()
}

#[tokio::test]
async fn a_log_layer_outside_sees_no_credential_at_any_configured_place() {
    let stack = Stack::new();
    let key = unknown_key();
    let auth = || {
        let header = ApiKeyHeader::from(Location::header("x-billing-key"));
        auth(&stack).scheme(header)
    };
    let user = CredentialSource::new(stack.keys.clone())
        .without_scheme("ApiKey")
        .without_scheme("Bearer")
        .scheme(Bearer::from(Location::header("x-user-token")));
    let agent = auth().without_scheme("Bearer").acting_for(user).unwrap();
    let key = key.expose();
    for (name, value) in [
        ("authorization", format!("Bearer {key}")),
        ("authorization", key.to_owned()),
        ("proxy-authorization", format!("Basic {key}")),
        ("cookie", format!("session={key}")),
        ("x-billing-key", key.to_owned()),
    ] {
        let request = Request::builder().header(name, &value).header(name, &value).header("x-other", "shown");
        let printed = printed(auth(), request).await;
        assert!(!printed.contains(key) && printed.contains("Sensitive") && printed.contains("shown"), "{printed}");
    }
    let printed = printed(agent, Request::builder().header("x-user-token", key)).await;
    assert!(!printed.contains(key), "{printed}");
}

#[tokio::test]
async fn a_trace_layer_with_headers_outside_prints_no_key() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let (log, _guard) = listen();
    let auth = auth(&stack);
    let trace = TraceLayer::new_for_http().make_span_with(|request: &Request<Body>| {
        let span = tracing::info_span!("request", headers = ?request.headers());
        span.in_scope(|| tracing::info!("began"));
        span
    });
    let conceal = auth.conceal_layer();
    let app: Router = Router::new().route("/", get(async || "hello")).layer(auth).layer(trace).layer(conceal);
    for key in [key.expose(), unknown_key().expose()] {
        let request = Request::get("/").header("x-api-key", key).body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap();
        let text = log.text();
        assert!(text.contains("Sensitive") && !text.contains(key), "{text}");
    }
}

#[tokio::test]
async fn every_refusal_after_authentication_names_the_caller_in_its_extensions() {
    let stack = Stack::new();
    let (_, key) = stack.mint(NewKey::new("alice")).await;
    let limit = RateLimitLayer::new("calls", LocalRateLimiter::default(), LimitBy::principal(), Quota::per_day(1));
    let app: Router = Router::new()
        .route("/limit", get(async || "hello").layer(limit))
        .route("/policy", get(async || "hello").layer(AuthorizeLayer::scoped::<Read>()))
        .route("/extractor", get(async |_: Scoped<Read>| "hello"))
        .layer(auth(&stack));
    let call = async |path: &str, key: &str| {
        let request = Request::get(path).header("x-api-key", key).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let caller = response.extensions().get::<Principal>().map(|caller| caller.subject().to_owned());
        (response.status().as_u16(), caller)
    };
    assert_eq!(call("/limit", key.expose()).await.0, 200);
    for (path, status) in [("/limit", 429), ("/policy", 403), ("/extractor", 403)] {
        assert_eq!(call(path, key.expose()).await, (status, Some("alice".to_owned())), "{path}");
        assert_eq!(call(path, unknown_key().expose()).await, (401, None), "{path}");
    }
}

#[tokio::test]
async fn by_option_every_response_names_the_caller_in_its_extensions() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let service = auth(&stack).optional().principal_in_responses();
    let service = ServiceBuilder::new().layer(service).service_fn(answer);
    let subject = async |request: http::request::Builder| {
        let response = service.clone().oneshot(request.body(Full::default()).unwrap()).await.unwrap();
        response.extensions().get::<Principal>().map(|caller| caller.subject().to_owned())
    };
    assert_eq!(subject(Request::builder().header("x-api-key", key.expose())).await.as_deref(), Some("alice"));
    assert_eq!(subject(Request::builder()).await, None);
}

#[tokio::test]
async fn a_layer_refuses_around_layers_with_body_types_of_their_own() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let inner = async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("hello")));
    let service = ServiceBuilder::new()
        .layer(auth(&stack))
        .layer(AuthorizeLayer::when(|_, head| head.uri.path() == "/"))
        .layer(RefusalBodyLayer)
        .layer(TraceLayer::new_for_http())
        .layer(CompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(10))
        .service_fn(inner);
    let call = async |path: &str, key: &str| {
        let request = Request::get(path).header("x-api-key", key).body(Full::<Bytes>::default()).unwrap();
        Answer::read(service.clone().oneshot(request).await.unwrap()).await
    };
    assert_eq!(call("/", key.expose()).await.body, "hello");
    let refused = call("/", unknown_key().expose()).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (401, &"invalid_token".into()));
    assert_eq!(call("/other", key.expose()).await.json()["code"], "access_denied");
}

#[tokio::test]
async fn the_layer_that_conceals_changes_nothing_else() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let auth = auth(&stack);
    let service = ServiceBuilder::new().layer(auth.conceal_layer()).layer(auth).service_fn(answer);
    send(service, Request::builder().header("x-api-key", key.expose())).await.assert_subject("alice");
}
