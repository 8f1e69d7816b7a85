//! Tokens that are kept, and refreshed early.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use tokio::time::advance;
use tower_warden::{Environment, Eventual, ManualClock, scope::Scopes};
use tower_warden_client::{CachedToken, Token, TokenError, TokenErrorKind, TokenRequest, TokenSource};

use crate::support::{NOW, PausedClock, Reply, Server, issued, obtain, reply, token};

/// The end of the early time of a token for an hour.
const EARLY: Duration = Duration::from_secs(3_600 - 120);

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_across_an_expiry_cause_one_token_request() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
    advance(Duration::from_secs(3_599)).await;
    let early = join_all((0..500).map(|_| token(&tokens)));
    server.hold();
    let (early, late) = tokio::join!(early, async {
        advance(Duration::from_secs(1)).await;
        server.release();
        join_all((0..500).map(|_| token(&tokens))).await
    });
    assert!(early.iter().all(Result::is_ok));
    assert!(late.iter().all(|token| token.as_deref().unwrap() == "token-2"));
    assert_eq!(server.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_refreshed_120_seconds_early() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
    advance(EARLY - Duration::from_secs(1)).await;
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
    advance(Duration::from_secs(1)).await;
    assert_eq!(token(&tokens).await.unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn one_request_waits_for_an_early_refresh_and_the_others_use_the_old_token() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    token(&tokens).await.unwrap();
    advance(EARLY).await;
    server.hold();
    let mut first = Box::pin(token(&tokens));
    assert!(first.as_mut().now_or_never().is_none());
    assert_eq!(token(&tokens).now_or_never().expect("no wait").unwrap(), "token-1");
    server.release();
    assert_eq!(first.await.unwrap(), "token-2");
    assert_eq!(server.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_early_refresh_delays_a_request_by_one_second_and_is_then_used() {
    let server = Server::default();
    let environment = PausedClock::environment();
    let tokens = server.cached(&environment);
    token(&tokens).await.unwrap();
    advance(EARLY).await;
    server.hold();
    let before = environment.clock().now();
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
    assert_eq!(environment.clock().now(), before + Duration::from_secs(1));
    server.release();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(token(&tokens).await.unwrap(), "token-2");
    assert_eq!(server.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_old_token_serves_until_it_expires_if_its_early_refresh_fails() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    token(&tokens).await.unwrap();
    advance(EARLY).await;
    server.next((0..2).map(|_| reply(400, r#"{"error":"invalid_client"}"#)));
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
    assert_eq!(server.count(), 2, "the next attempt is delayed");
    advance(Duration::from_secs(119)).await;
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
    advance(Duration::from_secs(1)).await;
    assert_eq!(token(&tokens).await.unwrap(), "token-4", "expired, so it is not delayed");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_reports_of_one_refused_token_cause_one_refresh() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    let refused = obtain(&tokens).await.unwrap();
    let retries = join_all((0..100).map(async |_| {
        tokens.invalidate(&refused);
        token(&tokens).await
    }));
    assert!(retries.await.iter().all(|token| token.as_deref().unwrap() == "token-2"));
    tokens.invalidate(&refused);
    assert_eq!(token(&tokens).await.unwrap(), "token-2", "a late report");
    assert_eq!(server.count(), 2);
}

/// (199)
#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_every_token_causes_five_refreshes_a_minute() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    for _ in 0..20 {
        tokens.invalidate(&obtain(&tokens).await.unwrap());
    }
    assert_eq!(server.count(), 6);
    advance(Duration::from_secs(60)).await;
    tokens.invalidate(&obtain(&tokens).await.unwrap());
    token(&tokens).await.unwrap();
    assert_eq!(server.count(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_leader_does_not_strand_those_that_wait() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    server.hold();
    let mut leader = Box::pin(token(&tokens));
    let mut follower = Box::pin(token(&tokens));
    assert!(leader.as_mut().now_or_never().is_none());
    assert!(follower.as_mut().now_or_never().is_none());
    drop(leader);
    server.release();
    assert_eq!(follower.await.unwrap(), "token-1");
    assert_eq!(server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_nobody_waits_for_any_more_is_completed_and_used() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    server.hold();
    assert!(token(&tokens).now_or_never().is_none());
    server.release();
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
    assert_eq!(server.count(), 1);
}

/// (206)
#[tokio::test(start_paused = true)]
async fn a_lifetime_of_ages_causes_no_overflow() {
    for lifetime in ["18446744073709551615", "9223372036854775808", "1e14"] {
        let server = Server::default();
        let tokens = server.cached(&PausedClock::environment());
        server.next([reply(200, &issued("opaque", &format!(r#","expires_in":{lifetime}"#)))]);
        assert_eq!(token(&tokens).await.unwrap(), "opaque", "{lifetime}");
        advance(Duration::from_secs(365 * 24 * 3_600)).await;
        assert_eq!(token(&tokens).await.unwrap(), "opaque", "{lifetime}");
    }
}

/// (206)
#[tokio::test]
async fn a_clock_that_is_set_back_does_not_extend_the_life_of_a_token() {
    let server = Server::default();
    let clock = ManualClock::at(NOW);
    let tokens = server.cached(&Environment::default().with_clock(clock.clone()));
    token(&tokens).await.unwrap();
    clock.advance(Duration::from_secs(1_800));
    clock.set(NOW - Duration::from_secs(86_400));
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
    clock.advance(Duration::from_secs(1_800));
    assert_eq!(token(&tokens).await.unwrap(), "token-2");
    clock.set(NOW - Duration::from_secs(172_800));
    assert_eq!(token(&tokens).await.unwrap(), "token-2", "the new one is as young as it was");
}

/// (206)
#[tokio::test(start_paused = true)]
async fn without_a_lifetime_the_claim_exp_counts_and_then_the_default() {
    // {"exp":1800000600}
    let jwt = "e30.eyJleHAiOjE4MDAwMDA2MDB9.c2ln";
    for (body, lifetime) in [
        (issued("opaque", ""), 300),
        (issued("opaque", r#","expires_in":0"#), 300),
        (issued("opaque", r#","expires_in":-5"#), 300),
        (issued("opaque", r#","expires_in":"900""#), 900),
        (issued(jwt, ""), 600),
        (issued(jwt, r#","expires_in":0"#), 600),
        (issued(jwt, r#","expires_in":60"#), 60),
        // {"exp":1000}: the clock of this machine is ahead.
        (issued("e30.eyJleHAiOjEwMDB9.c2ln", ""), 300),
    ] {
        let server = Server::default();
        let tokens = server.cached(&PausedClock::environment()).early(Duration::ZERO);
        server.next([reply(200, &body)]);
        token(&tokens).await.unwrap();
        advance(Duration::from_secs(lifetime - 1)).await;
        token(&tokens).await.unwrap();
        assert_eq!(server.count(), 1, "{body}");
        advance(Duration::from_secs(1)).await;
        token(&tokens).await.unwrap();
        assert_eq!(server.count(), 2, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_lived_token_is_not_refreshed_before_half_its_life() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    server.next([reply(200, &issued("short", r#","expires_in":20"#))]);
    token(&tokens).await.unwrap();
    advance(Duration::from_secs(9)).await;
    assert_eq!(token(&tokens).await.unwrap(), "short");
    advance(Duration::from_secs(1)).await;
    assert_eq!(token(&tokens).await.unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn additional_scopes_have_a_token_of_their_own() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    let write = Scopes::parse("write").unwrap();
    let with_write = async || tokens.token(&TokenRequest::new(NOW).with_scopes(&write)).wait().await.unwrap();
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
    assert_eq!(with_write().await.expose(), "token-2");
    assert_eq!(server.form()["scope"], "write");
    assert_eq!(with_write().await.expose(), "token-2");
    assert_eq!(token(&tokens).await.unwrap(), "token-1");
}

#[tokio::test(start_paused = true)]
async fn the_background_refresh_keeps_the_token_fresh_and_ends_with_the_last_clone() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment()).refresh_in_background();
    tokio::time::sleep(EARLY + Duration::from_secs(5)).await;
    assert_eq!(server.count(), 2);
    assert_eq!(token(&tokens).now_or_never().expect("no wait").unwrap(), "token-2");

    server.next([Reply::Down, Reply::Down, Reply::Down]);
    tokio::time::sleep(EARLY + Duration::from_secs(30)).await;
    assert_eq!(server.count(), 6, "three attempts that fail, and one after the delay");
    assert_eq!(token(&tokens).now_or_never().expect("no wait").unwrap(), "token-6");

    let clone = tokens.clone();
    drop(tokens);
    tokio::time::sleep(EARLY + Duration::from_secs(30)).await;
    assert_eq!(server.count(), 7);
    drop(clone);
    tokio::time::sleep(EARLY * 3).await;
    assert_eq!(server.count(), 7);
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[test]
fn without_a_runtime_a_token_is_an_error_and_not_a_panic() {
    let server = Server::default();
    let tokens = server.cached(&Environment::default());
    let error = token(&tokens).now_or_never().expect("no wait").unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Unavailable);
}

#[test]
fn a_runtime_that_has_shut_down_yields_an_error() {
    let tokens = Server::default().cached(&Environment::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let handle = runtime.handle().clone();
    drop(runtime);
    let _entered = handle.enter();
    for _ in 0..2 {
        let error = token(&tokens).now_or_never().expect("no wait").unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Unavailable);
    }
}

/// A source that panics, and counts how often.
#[derive(Default)]
struct Panics(AtomicUsize);

impl TokenSource for Panics {
    fn token(&self, _: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("a bug of the source");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_held_off_like_one_that_fails() {
    let tokens = CachedToken::new(Panics::default()).environment(&PausedClock::environment());
    for _ in 0..3 {
        assert!(token(&tokens).await.is_err());
    }
    assert_eq!(tokens.source().0.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_set_of_scopes_that_is_held_off_stays_so_when_there_are_many_sets() {
    let server = Server::default();
    let tokens = server.cached(&PausedClock::environment());
    let with = async |scope: &str| {
        let scopes: Scopes = scope.parse().unwrap();
        tokens.token(&TokenRequest::new(NOW).with_scopes(&scopes)).wait().await
    };
    server.next([reply(400, r#"{"error":"invalid_scope"}"#)]);
    assert_eq!(with("refused").await.unwrap_err().kind(), TokenErrorKind::Refused);
    for number in 0..70 {
        with(&format!("s{number}")).await.unwrap();
    }
    assert_eq!(with("refused").await.unwrap_err().kind(), TokenErrorKind::Refused);
    assert_eq!(server.count(), 71);
}
