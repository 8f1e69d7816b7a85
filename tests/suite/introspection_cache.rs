//! What is remembered of what an introspection endpoint said, for how long, and what never is.

use std::{num::NonZeroUsize, sync::Arc};

use futures_util::{FutureExt, future::join_all};
use serde_json::json;
use tower_warden::introspection::Introspection;

use crate::{
    introspection_endpoint::{Asking, CLIENT, Endpoint, Reply, SECRET, URL, active, active_with, issuer, layered},
    support::{START, seconds},
};

const NOW: u64 = START.as_secs();

/// (127)
#[tokio::test]
async fn an_active_token_is_introspected_once_in_sixty_seconds_and_refused_after_its_revocation() {
    let asking = Asking::of("token", &active());
    asking.send("token").await.assert_subject("alice");
    asking.endpoint.say("token", &json!({"active": false}));
    asking.clock.advance(seconds(59));
    asking.send("token").await.assert_subject("alice");
    assert_eq!(asking.endpoint.count(), 1);
    asking.clock.advance(seconds(1));
    asking.send("token").await.assert_invalid("token_inactive");
    assert_eq!(asking.endpoint.count(), 2);
}

/// (127)
#[tokio::test]
async fn an_active_token_is_not_cached_beyond_its_expiry() {
    let asking = Asking::of("token", &active_with(json!({"exp": NOW + 30})));
    asking.send("token").await.assert_subject("alice");
    asking.clock.advance(seconds(29));
    asking.send("token").await.assert_subject("alice");
    assert_eq!(asking.endpoint.count(), 1);

    // The issuer's clock may be behind: it is queried again, and what it reports then is used within the skew.
    asking.clock.advance(seconds(1));
    for _ in 0..100 {
        asking.send("token").await.assert_subject("alice");
    }
    assert_eq!(asking.endpoint.count(), 2);
    asking.clock.advance(seconds(59));
    asking.send("token").await.assert_subject("alice");
    assert_eq!(asking.endpoint.count(), 2);
    asking.clock.advance(seconds(1));
    asking.send("token").await.assert_invalid("expired");

    let asking = Asking::of("token", &active_with(json!({"exp": NOW + 30})));
    asking.send("token").await.assert_subject("alice");
    asking.endpoint.reply(Reply::Fail);
    asking.clock.advance(seconds(30));
    asking.send("token").await.assert_unavailable("introspection_unavailable");
}

#[tokio::test]
async fn an_inactive_token_is_introspected_once_in_ten_seconds() {
    let asking = Asking::new();
    asking.send("token").await.assert_invalid("token_inactive");
    asking.endpoint.say("token", &active());
    asking.clock.advance(seconds(9));
    asking.send("token").await.assert_invalid("token_inactive");
    assert_eq!(asking.endpoint.count(), 1);
    asking.clock.advance(seconds(1));
    asking.send("token").await.assert_subject("alice");
    assert_eq!(asking.endpoint.count(), 2);
}

#[tokio::test]
async fn a_lifetime_of_zero_disables_the_cache() {
    let asking = Asking::with(issuer(), |builder| builder.positive_ttl(seconds(0)).negative_ttl(seconds(0)));
    asking.endpoint.say("token", &active());
    for _ in 0..2 {
        asking.send("token").await.assert_subject("alice");
        asking.send("other").await.assert_invalid("token_inactive");
    }
    assert_eq!(asking.endpoint.count(), 4);
}

/// (128)
#[tokio::test]
async fn two_introspectors_share_neither_responses_nor_look_ups() {
    let (one, other) = (Asking::of("token", &active()), Asking::of("token", &active_with(json!({"sub": "bob"}))));
    one.endpoint.reply(Reply::Hold);
    other.endpoint.reply(Reply::Hold);
    let (mut first, mut second) = (Box::pin(one.send("token")), Box::pin(other.send("token")));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    other.endpoint.release(1);
    second.await.assert_subject("bob");
    assert!(first.as_mut().now_or_never().is_none());
    one.endpoint.release(1);
    first.await.assert_subject("alice");
    one.send("token").await.assert_subject("alice");
    other.send("token").await.assert_subject("bob");
    assert_eq!((one.endpoint.count(), other.endpoint.count()), (1, 1));

    // One endpoint, and two audiences.
    let endpoint = Arc::new(Endpoint::default());
    endpoint.say("token", &active());
    let builder = |issuer| Introspection::builder(issuer, URL, CLIENT, SECRET).fetch(Arc::clone(&endpoint)).build();
    let ours = layered(builder(issuer()).unwrap(), &one.clock);
    let strict = layered(builder(issuer().require_claim("org", "acme")).unwrap(), &one.clock);
    let send = async |app| crate::support::send(app, crate::support::bearer("token")).await;
    send(ours).await.assert_subject("alice");
    send(strict).await.assert_invalid("claim_required");
    assert_eq!(endpoint.count(), 2);
}

/// (129)
#[tokio::test]
async fn a_failure_is_never_cached() {
    let answer = |status: u16, body: &str| Reply::Answer(status, Vec::new(), body.to_owned());
    let inactive = json!({"active": false}).to_string();
    for (reply, status) in [
        (Reply::Fail, 503),
        (Reply::Panic, 500),
        (answer(200, "nonsense"), 503),
        (answer(401, &inactive), 503),
        (answer(429, &inactive), 503),
        (answer(500, &inactive), 503),
    ] {
        let asking = Asking::of("token", &active());
        asking.endpoint.reply(reply.clone());
        for _ in 0..2 {
            assert_eq!(asking.send("token").await.status, status, "{reply:?}");
        }
        assert_eq!(asking.endpoint.count(), 2, "{reply:?}");
        asking.endpoint.reply(Reply::Tell);
        asking.send("token").await.assert_subject("alice");

        // Who is remembered does not need the endpoint.
        asking.endpoint.reply(reply);
        asking.send("token").await.assert_subject("alice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_is_an_outage_after_three_seconds() {
    let asking = Asking::of("token", &active());
    asking.endpoint.reply(Reply::Hang);
    let start = tokio::time::Instant::now();
    asking.send("token").await.assert_unavailable("introspection_timeout");
    assert_eq!(start.elapsed(), seconds(3));
    asking.endpoint.reply(Reply::Tell);
    asking.send("token").await.assert_subject("alice");
}

/// (19)
#[tokio::test]
async fn requests_with_one_cold_token_share_a_look_up() {
    for (answer, status) in [(active(), 200), (json!({"active": false}), 401)] {
        let asking = Asking::of("token", &answer);
        asking.endpoint.reply(Reply::Hold);
        let mut all = Box::pin(join_all((0..1_000).map(|_| asking.send("token"))));
        assert!(all.as_mut().now_or_never().is_none());
        asking.endpoint.release(1_000);
        assert!(all.await.iter().all(|answer| answer.status == status));
        assert_eq!(asking.endpoint.count(), 1);
    }
}

/// (19)
#[tokio::test]
async fn a_cancelled_request_does_not_cancel_a_shared_look_up() {
    let asking = Asking::of("token", &active());
    asking.endpoint.reply(Reply::Hold);
    let (mut first, mut second) = (Box::pin(asking.send("token")), Box::pin(asking.send("token")));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    drop(first);
    asking.endpoint.release(1);
    second.await.assert_subject("alice");
    assert_eq!(asking.endpoint.count(), 1);
}

/// (130)
#[tokio::test]
async fn a_flood_of_invalid_tokens_evicts_no_valid_one() {
    let asking = Asking::with(issuer(), |builder| builder.negative_capacity(100));
    asking.endpoint.say("token", &active());
    asking.send("token").await.assert_subject("alice");
    let flood = async || {
        for number in 0..2_000 {
            asking.send(&format!("made-up-{number}")).await.assert_invalid("token_inactive");
        }
    };
    flood().await;
    assert_eq!(asking.endpoint.count(), 2_001);
    asking.send("token").await.assert_subject("alice");
    assert_eq!(asking.endpoint.count(), 2_001, "the good one is remembered");
    flood().await;
    assert!(asking.endpoint.count() > 3_000, "most of the others are not: {}", asking.endpoint.count());
}

/// (130)
#[tokio::test(start_paused = true)]
async fn concurrent_look_ups_are_limited() {
    let asking = Asking::with(issuer(), |builder| builder.max_lookups(NonZeroUsize::new(5).unwrap()));
    asking.endpoint.reply(Reply::Hold);
    let tokens: Vec<_> = (0..50).map(|number| format!("made-up-{number}")).collect();
    let mut flood = Box::pin(join_all(tokens.iter().map(|token| asking.send(token))));
    assert!(flood.as_mut().now_or_never().is_none());
    assert_eq!(asking.endpoint.count(), 5);
    asking.endpoint.release(3);
    assert!(flood.as_mut().now_or_never().is_none());
    assert_eq!(asking.endpoint.count(), 8);
    // Who is not asked about in time is told to come back.
    let answers = flood.await;
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(401), with(503)), (3, 47));
    assert_eq!(asking.endpoint.most(), 5);
}

#[tokio::test]
async fn a_token_revoked_while_the_clock_was_set_back_is_refused_when_the_time_returns() {
    let asking = Asking::of("token", &active());
    asking.send("token").await.assert_subject("alice");
    asking.clock.set(tower_warden::UnixTime::from_secs(NOW - 3600));
    asking.endpoint.say("token", &json!({"active": false}));
    asking.clock.advance(seconds(3620));
    asking.send("token").await.assert_invalid("token_inactive");
}
