//! What is retried, and how long is waited before.

use std::{
    future, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{Empty, Full};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, retry::Retry, service_fn, timeout::TimeoutLayer};
use tower_warden_client::{
    TokenLayer,
    grant::StaticKey,
    replay::ReplayNever,
    retry::{ConnectionFailure, RetryCause, RetryEnd, RetryLayer},
};

use crate::server::{Server, assert_outcome, environment, get, post, response, seconds, summary};

/// Sends one request to a server whose first response has this status and these headers, and returns the pause.
async fn pause_after(status: u16, headers: &[(&'static str, &str)]) -> u64 {
    let server = Server::new([Ok(response(status, headers))]);
    let layer = RetryLayer::new().environment(&environment().0).jitter_seed(7);
    let last = layer.layer(server.clone()).oneshot(get()).await.unwrap();
    assert_outcome(&last, StatusCode::OK, 2, RetryEnd::Final);
    assert_eq!(summary(&last).retries()[0].cause, RetryCause::Status(StatusCode::from_u16(status).unwrap()));
    server.pauses()[0]
}

#[tokio::test(start_paused = true)]
async fn a_429_with_seconds_is_retried_after_them() {
    assert_eq!(pause_after(429, &[("retry-after", "7")]).await, 7);
    assert_eq!(pause_after(503, &[("retry-after", "30")]).await, 30);
}

#[tokio::test(start_paused = true)]
async fn a_429_with_a_date_is_retried_at_that_time() {
    assert_eq!(pause_after(429, &[("retry-after", "Sun, 15 Nov 2026 00:00:20 GMT")]).await, 20);
}

#[tokio::test(start_paused = true)]
async fn a_date_is_compared_with_the_date_of_the_response() {
    // The clock of the server is an hour behind.
    let headers = [("date", "Sat, 14 Nov 2026 23:00:00 GMT"), ("retry-after", "Sat, 14 Nov 2026 23:00:09 GMT")];
    assert_eq!(pause_after(503, &headers).await, 9);
}

/// (203)
#[tokio::test(start_paused = true)]
async fn a_date_in_the_past_is_treated_as_none() {
    let pause = pause_after(429, &[("retry-after", "Sun, 15 Nov 2026 00:00:00 GMT")]).await;
    assert_eq!(pause, pause_after(429, &[]).await);
    assert!(pause <= 1, "{pause}");
}

/// (203)
#[tokio::test(start_paused = true)]
async fn a_date_far_in_the_future_is_capped() {
    assert_eq!(pause_after(429, &[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]).await, 60);
}

#[tokio::test(start_paused = true)]
async fn a_great_number_of_seconds_is_capped() {
    assert_eq!(pause_after(429, &[("retry-after", "86400")]).await, 60);
    assert_eq!(pause_after(429, &[("retry-after", "99999999999999999999999999")]).await, 60);
}

/// (203)
#[tokio::test(start_paused = true)]
async fn a_malformed_retry_after_is_treated_as_none() {
    for value in ["", "soon", "-5", "+5", "1.5", "7 s", "0", "Sun, 99 Nov 2026 00:00:20 GMT"] {
        let pause = pause_after(429, &[("retry-after", value)]).await;
        assert!(pause <= 1, "{value}: {pause}");
    }
}

/// (203)
#[tokio::test(start_paused = true)]
async fn the_longest_of_several_values_applies() {
    assert_eq!(pause_after(429, &[("retry-after", "3"), ("retry-after", "garbage"), ("retry-after", "8")]).await, 8);
}

#[tokio::test(start_paused = true)]
async fn a_503_without_retry_after_is_retried_after_a_random_wait() {
    let last = RetryLayer::new().jitter_seed(7).layer(Server::of([503, 503, 503])).oneshot(get()).await.unwrap();
    assert_outcome(&last, StatusCode::OK, 4, RetryEnd::Final);
    let waits: Vec<Duration> = summary(&last).retries().iter().map(|retry| retry.wait).collect();
    for (wait, bound) in waits.iter().zip([1, 2, 4]) {
        assert!(*wait <= seconds(bound), "{waits:?}");
    }

    let again = RetryLayer::new().jitter_seed(7).layer(Server::of([503, 503, 503])).oneshot(get()).await.unwrap();
    assert_eq!(summary(&last), summary(&again));
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_not_read_where_it_means_nothing() {
    for status in [500, 502] {
        assert!(pause_after(status, &[("retry-after", "50")]).await <= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn time_outs_are_retried_after_5_10_and_30_seconds() {
    let timed_out = || Err(io::Error::from(io::ErrorKind::TimedOut));
    let server = Server::new([Ok(response(504, &[])), timed_out(), Ok(response(504, &[])), timed_out()]);
    let last = RetryLayer::new().layer(server.clone()).oneshot(get()).await.unwrap();
    assert_outcome(&last, StatusCode::OK, 5, RetryEnd::Final);
    assert_eq!(server.pauses(), [5, 10, 30, 30]);

    let server = Server::new([Ok(response(429, &[("retry-after", "2")])), timed_out()]);
    RetryLayer::new().layer(server.clone()).oneshot(get()).await.unwrap();
    assert_eq!(server.pauses(), [2, 5]);
}

#[tokio::test(start_paused = true)]
async fn lost_connections_are_retried_and_other_errors_are_not() {
    for (kind, failure) in [
        (io::ErrorKind::ConnectionRefused, ConnectionFailure::Connect),
        (io::ErrorKind::ConnectionReset, ConnectionFailure::Lost),
        (io::ErrorKind::UnexpectedEof, ConnectionFailure::Lost),
    ] {
        let server = Server::new([Err(io::Error::new(kind, "in a custom error"))]);
        let last = RetryLayer::new().layer(server).oneshot(get()).await.unwrap();
        assert_eq!(summary(&last).retries()[0].cause, RetryCause::Connection(failure));
    }
    let server = Server::new([Err(io::Error::from(io::ErrorKind::InvalidData))]);
    assert!(RetryLayer::new().layer(server.clone()).oneshot(get()).await.is_err());
    assert_eq!(server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn boxed_errors_are_classified_by_a_closure() {
    let server = Server::new([Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
    let boxed = ServiceExt::<Request<Full<Bytes>>>::map_err(server, BoxError::from);
    let layer = RetryLayer::new().classify_errors(|error: &BoxError| ConnectionFailure::of(error.as_ref()));
    let last = layer.layer(boxed).oneshot(get()).await.unwrap();
    assert_outcome(&last, StatusCode::OK, 2, RetryEnd::Final);
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_of_an_attempt_is_a_time_out() {
    let server = Server::default();
    let hangs = Arc::new(AtomicBool::new(true));
    let inner = server.clone();
    let slow = service_fn(move |request: Request<Full<Bytes>>| {
        let (hangs, response) = (hangs.swap(false, Ordering::Relaxed), inner.clone().oneshot(request));
        async move { if hangs { future::pending().await } else { response.await } }
    });
    let retries = RetryLayer::new().classify_errors(|error: &BoxError| ConnectionFailure::of(error.as_ref()));
    let client = ServiceBuilder::new().layer(retries).layer(TimeoutLayer::new(seconds(10))).service(slow);
    let last = client.oneshot(get()).await.unwrap();
    assert_outcome(&last, StatusCode::OK, 2, RetryEnd::Final);
    assert_eq!(summary(&last).retries()[0].cause, RetryCause::Connection(ConnectionFailure::Timeout));
}

#[tokio::test(start_paused = true)]
async fn a_request_with_a_token_is_retried_with_it() {
    let server = Server::of([503]);
    let tokens = TokenLayer::new(StaticKey::bearer("s3cret").unwrap(), "https://api.example").unwrap();
    let retries = RetryLayer::new().classify_errors(|error: &BoxError| ConnectionFailure::of(error.as_ref()));
    let client = ServiceBuilder::new().layer(retries).layer(tokens).service(server.clone());
    let last = client.oneshot(get()).await.unwrap();
    assert_outcome(&last, StatusCode::OK, 2, RetryEnd::Final);
    assert_eq!(server.headers(1)["authorization"], "Bearer s3cret");
}

#[tokio::test(start_paused = true)]
async fn a_401_and_a_403_are_never_retried() {
    for status in [401, 403] {
        let server = Server::new([Ok(response(status, &[("retry-after", "1")]))]);
        let last = RetryLayer::new().layer(server.clone()).oneshot(get()).await.unwrap();
        assert_outcome(&last, StatusCode::from_u16(status).unwrap(), 1, RetryEnd::Final);
        assert_eq!(server.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_without_idempotency_key_is_not_retried() {
    for method in [Method::POST, Method::PATCH, Method::CONNECT] {
        let server = Server::new([Ok(response(429, &[("retry-after", "1")]))]);
        let mut request = post();
        *request.method_mut() = method;
        let last = RetryLayer::new().layer(server.clone()).oneshot(request).await.unwrap();
        assert_outcome(&last, StatusCode::TOO_MANY_REQUESTS, 1, RetryEnd::NotIdempotent);
        assert_eq!(server.count(), 1);
    }
    let created = RetryLayer::new().layer(Server::of([201])).oneshot(post()).await.unwrap();
    assert_outcome(&created, StatusCode::CREATED, 1, RetryEnd::Final);
}

#[tokio::test(start_paused = true)]
async fn a_post_with_idempotency_key_is_retried_with_the_same_key_and_body() {
    let mut request = post();
    request.headers_mut().insert("idempotency-key", "7f3c".parse().unwrap());
    let server = Server::of([503]);
    let inner = server.clone();
    let checked = service_fn(move |request: Request<Full<Bytes>>| {
        assert_eq!(http_body::Body::size_hint(request.body()).exact(), Some(2));
        inner.clone().oneshot(request)
    });
    let last = RetryLayer::new().layer(checked).oneshot(request).await.unwrap();
    assert_outcome(&last, StatusCode::OK, 2, RetryEnd::Final);
    assert_eq!(server.headers(0), server.headers(1));
    assert_eq!(server.headers(1)["idempotency-key"], "7f3c");
}

#[tokio::test(start_paused = true)]
async fn an_empty_idempotency_key_is_none() {
    let mut request = post();
    request.headers_mut().insert("idempotency-key", "".parse().unwrap());
    let last = RetryLayer::new().layer(Server::of([503])).oneshot(request).await.unwrap();
    assert_outcome(&last, StatusCode::SERVICE_UNAVAILABLE, 1, RetryEnd::NotIdempotent);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_replayed_is_sent_once() {
    let server = Server::of([503]);
    let last = RetryLayer::new().replay(ReplayNever).layer(server.clone()).oneshot(get()).await.unwrap();
    assert_outcome(&last, StatusCode::SERVICE_UNAVAILABLE, 1, RetryEnd::BodyNotReplayable);
    assert_eq!(server.count(), 1);

    let short = |body: &String| (body.len() < 4).then(|| body.clone());
    let client = RetryLayer::new().replay(short).layer(Server::of([503, 503]));
    let put = |body: &str| Request::put("https://api.example/").body(body.to_owned()).unwrap();
    assert_eq!(summary(&client.clone().oneshot(put("long")).await.unwrap()).end(), RetryEnd::BodyNotReplayable);
    assert_eq!(summary(&client.oneshot(put("abc")).await.unwrap()).attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_policy_is_one_of_tower() {
    let server = Server::of([503]);
    let last = Retry::new(RetryLayer::new().policy(), server.clone()).oneshot(get()).await.unwrap();
    assert_outcome(&last, StatusCode::OK, 2, RetryEnd::Final);
    assert_eq!(server.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn empty_bodies_are_replayed() {
    let request = Request::get("https://api.example/").body(Empty::<Bytes>::new()).unwrap();
    let last = RetryLayer::new().layer(Server::of([502])).oneshot(request).await.unwrap();
    assert_outcome(&last, StatusCode::OK, 2, RetryEnd::Final);
}
