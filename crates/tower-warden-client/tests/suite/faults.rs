//! Token endpoints that fail, each in its own way.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, header};
use tokio::time::advance;
use tower_warden_client::{TokenErrorKind, grant::ClientCredentials};

use crate::support::{PausedClock, Reply, Server, issued, reply, token};

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_is_down_is_asked_three_times_and_then_at_growing_intervals() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    server.next((0..6).map(|_| Reply::Down));
    assert_eq!(token(&tokens).await.unwrap_err().kind(), TokenErrorKind::Unavailable);
    assert_eq!(server.count(), 3);
    assert_eq!(token(&tokens).await.unwrap_err().kind(), TokenErrorKind::Unavailable);
    assert_eq!(server.count(), 3, "for one second");
    advance(Duration::from_secs(1)).await;
    assert!(token(&tokens).await.is_err());
    assert_eq!(server.count(), 6);
    advance(Duration::from_secs(1)).await;
    assert!(token(&tokens).await.is_err());
    assert_eq!(server.count(), 6, "for two seconds");
    advance(Duration::from_secs(1)).await;
    assert_eq!(token(&tokens).await.unwrap(), "token-7");
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_fails_once_is_asked_again() {
    for status in [500, 502, 503, 429] {
        let server = Server::default();
        server.next([reply(status, "")]);
        assert_eq!(token(&server.cached(&PausedClock::environment())).await.unwrap(), "token-2", "{status}");
    }
}

/// (203)
#[tokio::test(start_paused = true)]
async fn a_token_endpoint_states_retry_after_as_a_date_and_within_five_minutes() {
    for (value, seconds) in [
        ("Fri, 15 Jan 2027 08:00:20 GMT", Some(20)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(300)),
        ("99999999999999999999999999", Some(300)),
        ("Fri, 15 Jan 2027 08:00:00 GMT", None),
        ("soon", None),
    ] {
        let server = Server::default();
        let response = Response::builder().status(503).header("retry-after", value).body(Bytes::new()).unwrap();
        server.next([Reply::Is(response)]);
        let error = token(&ClientCredentials::new(server.endpoint())).await.unwrap_err();
        assert_eq!(error.retry_after(), seconds.map(Duration::from_secs), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_states_retry_after_is_not_asked_before() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    let Reply::Is(mut throttled) = reply(429, "") else { unreachable!() };
    throttled.headers_mut().insert(header::RETRY_AFTER, "20".parse().unwrap());
    server.next([Reply::Is(throttled)]);
    let error = token(&tokens).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(20)));
    advance(Duration::from_secs(19)).await;
    assert!(token(&tokens).await.is_err());
    assert_eq!(server.count(), 1);
    advance(Duration::from_secs(1)).await;
    assert_eq!(token(&tokens).await.unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_slow_token_endpoint_is_given_up_after_ten_seconds() {
    let server = Server::default();
    let environment = PausedClock::environment();
    let tokens = server.cached(&environment);
    server.next([Reply::Hangs]);
    let before = environment.clock().now();
    assert_eq!(token(&tokens).await.unwrap(), "token-2");
    let waited = environment.clock().now().as_secs() - before.as_secs();
    assert!((10..=11).contains(&waited), "{waited}");
}

/// (205)
#[tokio::test(start_paused = true)]
async fn html_is_not_a_token() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    server.next([reply(200, "<html><body>secret-session</body></html>")]);
    let error = token(&tokens).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Response);
    assert!(!format!("{error:?}").contains("secret-session"));
    assert_eq!(server.count(), 1, "it is not repeated at once");
}

#[tokio::test(start_paused = true)]
async fn invalid_grant_is_an_error_of_its_own() {
    let server = Server::default();
    server.next([reply(400, r#"{"error":"invalid_grant","error_description":"secret-detail"}"#)]);
    let error = token(&server.cached(&PausedClock::environment())).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (TokenErrorKind::InvalidGrant, Some("invalid_grant")));
    assert!(!format!("{error:?} {error}").contains("secret-detail"));
}

#[tokio::test(start_paused = true)]
async fn an_error_code_of_a_temporary_failure_is_no_refusal() {
    for code in ["server_error", "temporarily_unavailable"] {
        let server = Server::default();
        server.next([reply(400, &format!(r#"{{"error":"{code}"}}"#))]);
        assert_eq!(token(&server.cached(&PausedClock::environment())).await.unwrap(), "token-2", "it is repeated");
    }
}

/// (205)
#[tokio::test(start_paused = true)]
async fn an_error_code_that_is_not_registered_is_not_quoted() {
    let server = Server::default();
    server.next([reply(400, r#"{"error":"secret-code"}"#)]);
    let error = token(&server.cached(&PausedClock::environment())).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (TokenErrorKind::Refused, None));
    assert!(!format!("{error:?}").contains("secret-code"));
}

/// (205)
#[tokio::test(start_paused = true)]
async fn a_token_endpoint_that_redirects_to_another_host_is_not_followed() {
    let server = Server::default();
    let Reply::Is(mut redirect) = reply(307, "") else { unreachable!() };
    redirect.headers_mut().insert(header::LOCATION, "https://evil.example/token".parse().unwrap());
    server.next([Reply::Is(redirect)]);
    let error = token(&server.cached(&PausedClock::environment())).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Response);
    assert_eq!(server.count(), 1);
}

/// (205)
#[tokio::test(start_paused = true)]
async fn a_response_that_is_too_long_or_has_no_usable_token_is_refused() {
    for body in [
        "x".repeat(300 * 1024),
        "[]".to_owned(),
        r#"{"token_type":"Bearer"}"#.to_owned(),
        r#"{"access_token":7,"token_type":"Bearer"}"#.to_owned(),
        issued("", ""),
        issued("a b", ""),
        r#"{"access_token":"at","token_type":"mac"}"#.to_owned(),
        r#"{"access_token":"at","token_type":"DPoP"}"#.to_owned(),
    ] {
        let server = Server::default();
        server.next([reply(200, &body)]);
        let error = token(&server.cached(&PausedClock::environment())).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Response, "{}", &body[..body.len().min(60)]);
    }
}
