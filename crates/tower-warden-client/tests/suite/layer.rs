//! The layer: tokens that are refused, and requests that are sent once more.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, header};
use http_body_util::{Empty, StreamBody, combinators::BoxBody};
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_warden_client::{
    Token, TokenError, TokenErrorKind, TokenLayer, TokenSource,
    grant::{ClientCredentials, StaticKey},
    replay::{ReplayEmpty, ReplayNever},
};

use crate::support::{Body, PausedClock, Received, Reply, Server, get, reply, response};

const API: &str = "https://api.example";
const INVALID: &str = r#"Bearer error="invalid_token""#;

/// An API that accepts one token.
fn accepting(token: &'static str) -> impl Fn(&Request<Body>) -> Response<Body> + Clone + Send + Sync + 'static {
    move |request| {
        let is_valid = request.headers()[header::AUTHORIZATION] == *format!("Bearer {token}");
        if is_valid { response(200, "") } else { response(401, INVALID) }
    }
}

fn layer(source: impl TokenSource) -> TokenLayer {
    TokenLayer::new(source, API).unwrap()
}

fn kind(error: &(dyn std::error::Error + Send + Sync + 'static)) -> TokenErrorKind {
    error.downcast_ref::<TokenError>().expect("an error of the layer").kind()
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_and_the_request_is_sent_once_more() {
    let (server, received) = (Server::default(), Received::default());
    let client = layer(server.cached(&PausedClock::environment())).layer(received.api(accepting("token-2")));
    let mut request = get("https://api.example/orders?page=2");
    request.headers_mut().append("x-tag", "a".parse().unwrap());
    request.headers_mut().append("x-tag", "b".parse().unwrap());
    request.headers_mut().insert(header::AUTHORIZATION, "Bearer stale".parse().unwrap());
    request.extensions_mut().insert("kept");
    assert_eq!(client.clone().oneshot(request).await.unwrap().status(), 200);
    assert_eq!(received.tokens(), ["Bearer token-1", "Bearer token-2"]);
    let last = received.last();
    assert_eq!(last.uri(), "https://api.example/orders?page=2");
    assert_eq!(last.headers().get_all("x-tag").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(last.extensions().get::<&str>(), Some(&"kept"));
    assert!(last.headers()[header::AUTHORIZATION].is_sensitive());

    assert_eq!(client.oneshot(get(API)).await.unwrap().status(), 200);
    assert_eq!((received.count(), server.count()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_twice_is_returned_to_the_caller() {
    let (server, received) = (Server::default(), Received::default());
    let client = layer(server.cached(&PausedClock::environment())).layer(received.api(accepting("none")));
    assert_eq!(client.oneshot(get(API)).await.unwrap().status(), 401);
    assert_eq!(received.tokens(), ["Bearer token-1", "Bearer token-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_refusals_of_one_token_cause_one_token_request() {
    let (server, received) = (Server::default(), Received::default());
    let client = layer(server.cached(&PausedClock::environment())).layer(received.api(accepting("token-2")));
    let responses = join_all((0..100).map(|_| client.clone().oneshot(get(API)))).await;
    assert!(responses.iter().all(|response| response.as_ref().unwrap().status() == 200));
    assert_eq!(server.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_across_an_expiry_cause_one_token_request() {
    let (server, received) = (Server::default(), Received::default());
    let client = layer(server.cached(&PausedClock::environment())).layer(received.api(|_| response(200, "")));
    client.clone().oneshot(get(API)).await.unwrap();
    tokio::time::advance(Duration::from_secs(3_600)).await;
    let responses = join_all((0..1_000).map(|_| client.clone().oneshot(get(API)))).await;
    assert!(responses.iter().all(|response| response.as_ref().unwrap().status() == 200));
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_static_key_that_is_refused_is_not_sent_again() {
    let received = Received::default();
    let client = layer(StaticKey::bearer("key").unwrap()).layer(received.api(accepting("other")));
    assert_eq!(client.oneshot(get(API)).await.unwrap().status(), 401);
    assert_eq!(received.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_response_with_401_is_returned_if_there_is_no_new_token() {
    let (server, received) = (Server::default(), Received::default());
    let client = layer(server.cached(&PausedClock::environment())).layer(received.api(accepting("token-9")));
    server.next([reply(200, &crate::support::issued("token-1", "")), reply(400, r#"{"error":"invalid_client"}"#)]);
    assert_eq!(client.oneshot(get(API)).await.unwrap().status(), 401);
    assert_eq!(received.count(), 1);
}

#[tokio::test]
async fn a_token_that_cannot_be_obtained_is_an_error_and_nothing_is_sent() {
    let (server, received) = (Server::default(), Received::default());
    let client = layer(ClientCredentials::new(server.endpoint())).layer(received.api(|_| response(200, "")));
    server.next([Reply::Down]);
    let error = client.oneshot(get(API)).await.unwrap_err();
    assert_eq!(kind(&*error), TokenErrorKind::Unavailable);
    assert_eq!(received.count(), 0);
}

/// (200)
#[tokio::test(start_paused = true)]
async fn a_refusal_of_something_else_than_the_token_is_returned() {
    for (status, challenge) in [
        (401, r#"Bearer error="invalid_request""#),
        (403, ""),
        (403, r#"Bearer error="insufficient_scope", scope="write""#),
        (403, r#"Bearer error="invalid_token""#),
        (404, INVALID),
        (500, INVALID),
    ] {
        let (server, received) = (Server::default(), Received::default());
        let client =
            layer(server.cached(&PausedClock::environment())).layer(received.api(move |_| response(status, challenge)));
        assert_eq!(client.oneshot(get(API)).await.unwrap().status(), status);
        assert_eq!((received.count(), server.count()), (1, 1), "{status} {challenge}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_an_error_code_and_one_among_other_schemes_are_of_the_token() {
    for challenge in [
        "",
        "Bearer realm=\"api\"",
        "Basic realm=\"x\"",
        r#"Basic a="b", DPoP algs="ES256", Bearer error=invalid_token"#,
    ] {
        let (server, received) = (Server::default(), Received::default());
        let client =
            layer(server.cached(&PausedClock::environment())).layer(received.api(move |_| response(401, challenge)));
        assert_eq!(client.oneshot(get(API)).await.unwrap().status(), 401);
        assert_eq!(received.count(), 2, "{challenge}");
    }
}

#[tokio::test]
async fn an_api_key_has_a_header_field_of_its_own() {
    let received = Received::default();
    let key = StaticKey::header("x-api-key".parse().unwrap(), "key").unwrap();
    layer(key).layer(received.api(|_| response(200, ""))).oneshot(get(API)).await.unwrap();
    let last = received.last();
    assert_eq!(last.headers()["x-api-key"], "key");
    assert!(last.headers()["x-api-key"].is_sensitive());
    assert!(!last.headers().contains_key(header::AUTHORIZATION));
}

#[tokio::test]
async fn an_api_key_has_a_scheme_of_its_own() {
    let received = Received::default();
    let key = StaticKey::scheme("ApiKey", "key").unwrap();
    layer(key).layer(received.api(|_| response(200, ""))).oneshot(get(API)).await.unwrap();
    assert_eq!(received.tokens(), ["ApiKey key"]);
    assert!(received.last().headers()[header::AUTHORIZATION].is_sensitive());
    assert_eq!(Token::api_key_with_scheme("SSWS", "key").unwrap().expose(), "key");
    for scheme in ["", "Api Key", "Api\nKey", "ApiKey s3cret", "Schl\u{fc}ssel"] {
        let error = StaticKey::scheme(scheme, "key").unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(Token::api_key_with_scheme(scheme, "key").is_err());
    }
    assert!(StaticKey::scheme("ApiKey", "two words").is_err());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_copied_is_sent_once_and_its_refused_token_is_replaced_for_the_next() {
    type Streamed = BoxBody<Bytes, Infallible>;
    let server = Server::default();
    let api = service_fn(async |request: Request<Streamed>| {
        let is_valid = request.headers()[header::AUTHORIZATION] == "Bearer token-2";
        Ok::<_, Infallible>(response(if is_valid { 200 } else { 401 }, if is_valid { "" } else { INVALID }))
    });
    let client = layer(server.cached(&PausedClock::environment())).replay(ReplayNever).layer(api);
    let upload = || {
        let chunk = http_body::Frame::data(Bytes::from_static(b"chunk"));
        let body = StreamBody::new(futures_util::stream::iter([Ok::<_, Infallible>(chunk)]));
        Request::post(API).body(BoxBody::new(body)).unwrap()
    };
    assert_eq!(client.clone().oneshot(upload()).await.unwrap().status(), 401);
    assert_eq!(client.oneshot(upload()).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn requests_without_a_body_are_repeated_where_others_are_not() {
    let (server, received) = (Server::default(), Received::default());
    let client = layer(server.cached(&PausedClock::environment()))
        .replay(ReplayEmpty)
        .layer(received.api(|_| response(401, INVALID)));
    client.clone().oneshot(get(API)).await.unwrap();
    assert_eq!(received.count(), 2);
    let post = Request::post(API).body(Body::new(Bytes::from_static(b"{}"))).unwrap();
    client.oneshot(post).await.unwrap();
    assert_eq!(received.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_reserved_in_the_inner_service_while_a_token_is_obtained() {
    let server = Server::default();
    let limited = ServiceBuilder::new()
        .layer(layer(server.cached(&PausedClock::environment())))
        .layer(ConcurrencyLimitLayer::new(1))
        .service_fn(async |_: Request<Empty<Bytes>>| Ok::<_, Infallible>(response(200, "")));
    let request = || Request::get(API).body(Empty::<Bytes>::new()).unwrap();
    let (mut one, mut other) = (limited.clone(), limited);
    server.hold();
    let first = one.ready().await.unwrap().call(request());
    let second = other.ready().await.expect("the first one has reserved nothing").call(request());
    server.release();
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.unwrap().status(), 200);
    assert_eq!(second.unwrap().status(), 200);
}

/// The body of a response may keep a connection, or a place in a limit.
#[tokio::test(start_paused = true)]
async fn a_refused_response_is_dropped_before_the_request_is_sent_again() {
    let (server, places) = (Server::default(), Arc::new(Semaphore::new(1)));
    let api = service_fn(move |request: Request<Body>| {
        let places = Arc::clone(&places);
        async move {
            let place = places.acquire_owned().await.unwrap();
            let is_valid = request.headers()[header::AUTHORIZATION] == "Bearer token-2";
            Ok::<_, Infallible>(response(if is_valid { 200 } else { 401 }, "").map(|_| place))
        }
    });
    let client = layer(server.cached(&PausedClock::environment())).layer(api);
    let response = tokio::time::timeout(Duration::from_secs(60), client.oneshot(get(API))).await;
    assert_eq!(response.expect("the refused response holds the place").unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_leaves_nothing_behind() {
    let (server, received) = (Server::default(), Received::default());
    let client = layer(server.cached(&PausedClock::environment())).layer(received.api(accepting("token-2")));
    server.hold();
    let cancelled = tokio::spawn(client.clone().oneshot(get(API)));
    tokio::task::yield_now().await;
    cancelled.abort();
    server.release();
    assert_eq!(client.oneshot(get(API)).await.unwrap().status(), 200);
    assert_eq!(server.count(), 2);
}
