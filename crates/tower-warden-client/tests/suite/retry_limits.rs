//! The limits of retries: number, time, rate, and the caller that goes away.

use std::{io, time::Duration};

use http::StatusCode;
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, retry::budget::TpsBudget};
use tower_warden_client::retry::{RetryEnd, RetryLayer};

use crate::server::{Log, Server, assert_outcome, get, response, seconds, summary};

fn busy(retry_after: &str) -> Result<http::Response<()>, io::Error> {
    Ok(response(429, &[("retry-after", retry_after)]))
}

#[tokio::test(start_paused = true)]
async fn the_last_response_is_returned_when_all_attempts_failed() {
    let server = Server::of([500; 9]);
    let last = RetryLayer::new().max_retries(2).layer(server.clone()).oneshot(get()).await.unwrap();
    assert_outcome(&last, StatusCode::INTERNAL_SERVER_ERROR, 3, RetryEnd::AttemptsExhausted);
    assert_eq!(server.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_returned_when_all_attempts_failed() {
    let server = Server::new((0..9).map(|_| Err(io::ErrorKind::ConnectionRefused.into())));
    let error = RetryLayer::new().layer(server.clone()).oneshot(get()).await.unwrap_err();
    assert_eq!((error.kind(), server.count()), (io::ErrorKind::ConnectionRefused, 6));
}

/// (204)
#[tokio::test(start_paused = true)]
async fn a_request_is_not_retried_when_the_budget_is_exhausted() {
    // One retry for ten requests that succeed.
    let layer = RetryLayer::new().budget(TpsBudget::new(seconds(10), 0, 0.1)).max_retries(1);
    let server = Server::of([200; 10].into_iter().chain([500, 200, 500, 500]));
    let client = layer.layer(server.clone());
    for _ in 0..10 {
        assert_outcome(&client.clone().oneshot(get()).await.unwrap(), StatusCode::OK, 1, RetryEnd::Final);
    }
    assert_outcome(&client.clone().oneshot(get()).await.unwrap(), StatusCode::OK, 2, RetryEnd::Final);
    let refused = client.oneshot(get()).await.unwrap();
    assert_outcome(&refused, StatusCode::INTERNAL_SERVER_ERROR, 1, RetryEnd::BudgetExhausted);
    assert_eq!(server.count(), 13);
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_shared_by_all_services_of_a_layer() {
    let layer = RetryLayer::new().budget(TpsBudget::new(seconds(1), 1, 0.0)).backoff(Duration::ZERO, Duration::ZERO);
    let first = layer.clone().layer(Server::of([500])).oneshot(get()).await.unwrap();
    assert_eq!(summary(&first).end(), RetryEnd::Final);
    let second = layer.layer(Server::of([500])).oneshot(get()).await.unwrap();
    assert_eq!(summary(&second).end(), RetryEnd::BudgetExhausted);
}

#[tokio::test(start_paused = true)]
async fn all_waits_together_are_bounded() {
    let server = Server::new([busy("50"), busy("50"), busy("50")]);
    let start = Instant::now();
    let last = RetryLayer::new().layer(server.clone()).oneshot(get()).await.unwrap();
    assert_outcome(&last, StatusCode::TOO_MANY_REQUESTS, 3, RetryEnd::WaitTooLong);
    assert_eq!((start.elapsed().as_secs(), summary(&last).waited()), (100, seconds(100)));
    assert_eq!(last.headers()["retry-after"], "50");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_exceed_the_bound_does_not_begin() {
    let start = Instant::now();
    let layer = RetryLayer::new().max_total_wait(seconds(10));
    let last = layer.layer(Server::new([busy("11")])).oneshot(get()).await.unwrap();
    assert_outcome(&last, StatusCode::TOO_MANY_REQUESTS, 1, RetryEnd::WaitTooLong);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cancelled_while_it_waits_is_not_sent_again() {
    let server = Server::new([busy("30")]);
    let request = RetryLayer::new().layer(server.clone()).oneshot(get());
    assert!(tokio::time::timeout(seconds(10), request).await.is_err());
    tokio::time::advance(seconds(60)).await;
    assert_eq!(server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_holds_no_place_in_the_inner_service() {
    let server = Server::new([busy("30")]);
    let client =
        ServiceBuilder::new().layer(RetryLayer::new()).layer(ConcurrencyLimitLayer::new(1)).service(server.clone());
    let waiting = tokio::spawn(client.clone().oneshot(get()));
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(server.count(), 1);

    let start = Instant::now();
    assert_eq!(client.oneshot(get()).await.unwrap().status(), StatusCode::OK);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_outcome(&waiting.await.unwrap().unwrap(), StatusCode::OK, 2, RetryEnd::Final);
}

#[tokio::test(start_paused = true)]
async fn requests_at_the_same_time_have_summaries_of_their_own() {
    let client = RetryLayer::new().layer(Server::of([500, 200]));
    let (one, two) = tokio::join!(client.clone().oneshot(get()), client.clone().oneshot(get()));
    let mut attempts = [summary(&one.unwrap()).attempts(), summary(&two.unwrap()).attempts()];
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn retries_are_logged_without_the_request() {
    let (log, _guard) = Log::listen();
    let mut request = get();
    request.headers_mut().insert("authorization", "Bearer secret-token".parse().unwrap());
    *request.uri_mut() = "https://api.example/invoices?api_key=secret-key".parse().unwrap();
    RetryLayer::new().layer(Server::of([503])).oneshot(request).await.unwrap();
    assert_eq!(log.count("a request is sent again"), 1);
    assert!(!log.text().contains("secret"), "{}", log.text());
}
