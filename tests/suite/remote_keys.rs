//! When keys are fetched, and what becomes of requests meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use http::{StatusCode, header};
use serde_json::json;
use tower_warden::{
    Environment, Eventual, UnixTime,
    jwt::{Algorithm, Jwt, KeyRequest, KeySource, RemoteKeys, RemoteKeysBuilder},
    layer::AuthLayer,
    testing::SigningKey,
};

use crate::{
    endpoint::{self, Endpoint, JWKS, Mode, Remote, settle},
    support::{self, START},
    tokens,
};

/// TTL, and the hour past it.
const END: u64 = 600 + 3600;

#[tokio::test]
async fn keys_are_fetched_at_start_and_in_the_background_at_80_percent_of_their_lifetime() {
    let remote = Remote::new().await;
    assert_eq!(remote.endpoint.fetches(), 1);
    remote.send(&remote.token().sign()).await.assert_subject("alice");
    remote.pass(449).await;
    assert_eq!(remote.endpoint.fetches(), 1);
    remote.pass(61).await;
    assert_eq!(remote.endpoint.fetches(), 2);
    remote.pass(449).await;
    assert_eq!(remote.endpoint.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_are_refreshed_without_a_request() {
    let remote = Remote::new().await;
    remote.clock.advance(support::seconds(510));
    // Within a minute it looks at the clock.
    tokio::time::advance(Duration::from_secs(61)).await;
    settle().await;
    assert_eq!(remote.endpoint.fetches(), 2);
}

#[tokio::test]
async fn request_does_not_wait_for_a_fetch_that_is_due() {
    let remote = Remote::new().await;
    let token = remote.token().sign();
    remote.endpoint.set(Mode::Hang);
    remote.clock.advance(support::seconds(510));
    let (now, key) = (START + support::seconds(510), remote.issuer.key());
    let found = remote.keys.find(&KeyRequest::new(Some(key.id()), Algorithm::ES256, now));
    assert!(matches!(found, Eventual::Now(Ok(Some(_)))), "{found:?}");
    remote.send(&token).await.assert_subject("alice");
    settle().await;
    assert_eq!(remote.endpoint.fetches(), 2);
}

// (65)
#[tokio::test]
async fn ten_thousand_unknown_kids_cost_one_fetch_in_a_cool_down() {
    let remote = Remote::new().await;
    let good = remote.token().sign();
    let flood = async |from: usize, to: usize| {
        for number in from..to {
            remote.send(&remote.forged(&format!("kid-{number}"))).await.assert_invalid("key_unknown");
            if number % 1000 == 0 {
                remote.send(&good).await.assert_subject("alice");
            }
        }
    };
    flood(0, 9_000).await;
    assert_eq!(remote.endpoint.fetches(), 2, "one at start, one for the first kid");
    remote.clock.advance(support::seconds(29));
    flood(9_000, 9_500).await;
    assert_eq!(remote.endpoint.fetches(), 2);
    remote.clock.advance(support::seconds(1));
    flood(9_500, 10_000).await;
    assert_eq!(remote.endpoint.fetches(), 3);
}

// (65)
#[tokio::test(start_paused = true)]
async fn ten_thousand_unknown_kids_at_once_cost_one_fetch() {
    let remote = Remote::new().await;
    let tokens: Vec<_> = (0..10_000).map(|number| remote.forged(&format!("kid-{number}"))).collect();
    let answers = join_all(tokens.iter().map(|token| remote.send(token))).await;
    answers.iter().for_each(|answer| answer.assert_invalid("key_unknown"));
    assert_eq!(remote.endpoint.fetches(), 2);
}

// (65)
#[tokio::test]
async fn ten_thousand_unknown_kids_cost_one_fetch_while_fetches_fail() {
    let remote = Remote::new().await;
    remote.endpoint.set(Mode::Fail);
    let good = remote.token().sign();
    for number in 0..10_000 {
        // It may be a new key that cannot be fetched.
        remote.send(&remote.forged(&format!("kid-{number}"))).await.assert_unavailable("keys_unavailable");
    }
    assert_eq!(remote.endpoint.fetches(), 2);
    remote.send(&good).await.assert_subject("alice");
}

// (66)
#[tokio::test(start_paused = true)]
async fn while_the_endpoint_hangs_an_unknown_kid_times_out_and_known_ones_do_not_wait() {
    let remote = Remote::new().await;
    remote.endpoint.set(Mode::Hang);
    let begun = tokio::time::Instant::now();
    let unknown = tokio::spawn({
        let (remote, token) = (remote.clone(), remote.forged("new"));
        async move { remote.send(&token).await }
    });
    settle().await;
    assert_eq!(remote.endpoint.fetches(), 2);
    remote.send(&remote.token().sign()).await.assert_subject("alice");
    assert!(begun.elapsed().is_zero(), "a known kid waited");
    unknown.await.unwrap().assert_unavailable("keys_unavailable");
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn rotated_key_is_accepted_at_once_two_seconds_after_load() {
    let remote = Remote::new().await;
    remote.clock.advance(support::seconds(2));
    remote.issuer.rotate();
    remote.send(&remote.token().sign()).await.assert_subject("alice");
    assert_eq!(remote.endpoint.fetches(), 2);
}

#[tokio::test]
async fn three_hundred_invalid_kids_cost_one_fetch_and_a_rotated_key_is_accepted_after_the_cool_down() {
    let remote = Remote::new().await;
    for number in 0..300 {
        remote.send(&remote.forged(&format!("kid-{number}"))).await.assert_invalid("key_unknown");
    }
    assert_eq!(remote.endpoint.fetches(), 2);
    remote.issuer.rotate();
    let token = remote.token().sign();
    remote.pass(29).await;
    remote.send(&token).await.assert_invalid("key_unknown");
    // Nobody comes with the new kid again: the flood itself has it fetched.
    remote.pass(1).await;
    assert_eq!(remote.endpoint.fetches(), 3);
    let key = remote.issuer.key();
    let found = remote.keys.find(&KeyRequest::new(Some(key.id()), Algorithm::ES256, START + support::seconds(30)));
    assert!(matches!(found, Eventual::Now(Ok(Some(_)))), "{found:?}");
    remote.send(&token).await.assert_subject("alice");
}

#[tokio::test]
async fn invalid_kids_do_not_delay_the_schedule() {
    let minute = |endpoint: &Endpoint| endpoint.header(header::CACHE_CONTROL, "max-age=60");
    let remote = Remote::with(minute, |keys| keys, |issuer| issuer).await;
    remote.endpoint.set(Mode::Fail);
    remote.pass(44).await;
    remote.send(&remote.forged("bad")).await.assert_unavailable("keys_unavailable");
    assert_eq!(remote.endpoint.fetches(), 2);
    remote.endpoint.set(Mode::Answer);
    remote.issuer.rotate();
    // 23 seconds before the end of the cool-down.
    remote.pass(7).await;
    assert_eq!(remote.endpoint.fetches(), 3);
    remote.send(&remote.token().sign()).await.assert_subject("alice");
    assert_eq!(remote.endpoint.fetches(), 3);
}

#[tokio::test]
async fn tokens_of_a_removed_key_do_not_spend_the_budget_for_new_keys() {
    let remote = Remote::new().await;
    let old = remote.token().sign();
    remote.send(&old).await.assert_subject("alice");
    remote.issuer.rotate();
    remote.pass(510).await;
    remote.send(&old).await.assert_invalid("key_unknown");
    remote.pass(30).await;
    let fetches = remote.endpoint.fetches() + 1;
    for _ in 0..100 {
        remote.send(&old).await.assert_invalid("key_unknown");
    }
    assert_eq!(remote.endpoint.fetches(), fetches, "it was asked for once, and is not there");
    remote.issuer.rotate();
    remote.send(&remote.token().sign()).await.assert_subject("alice");
    assert_eq!(remote.endpoint.fetches(), fetches + 1);
}

#[tokio::test]
async fn tokens_without_kid_or_with_a_symmetric_algorithm_cause_no_fetch() {
    let both = [Algorithm::ES256, Algorithm::HS256];
    let remote = Remote::with(|_| {}, |keys| keys, |issuer| issuer.algorithms(both).unwrap()).await;
    remote.send(&remote.token().without_header("kid").sign()).await.assert_invalid("key_unknown");
    let secret = SigningKey::named(Algorithm::HS256, "secret");
    remote.send(&remote.token().key(&secret).sign()).await.assert_invalid("key_unknown");
    assert_eq!(remote.endpoint.fetches(), 1);
}

#[tokio::test]
async fn guessed_kid_of_the_next_key_does_not_delay_it() {
    let remote = Remote::new().await;
    remote.send(&remote.forged("2027-01")).await.assert_invalid("key_unknown");
    remote.clock.advance(support::seconds(30));
    remote.issuer.publish(SigningKey::named(Algorithm::ES256, "2027-01"));
    remote.send(&remote.token().sign()).await.assert_subject("alice");
}

#[tokio::test]
async fn removed_key_that_is_published_again_is_accepted() {
    let remote = Remote::new().await;
    let (old, token) = (remote.issuer.key(), remote.token().sign());
    remote.issuer.publish(SigningKey::generate(Algorithm::ES256));
    remote.issuer.withdraw(&old);
    remote.pass(510).await;
    remote.send(&token).await.assert_invalid("key_unknown");
    remote.issuer.publish(old);
    remote.clock.advance(support::seconds(29));
    remote.send(&token).await.assert_invalid("key_unknown");
    remote.clock.advance(support::seconds(1));
    remote.send(&token).await.assert_subject("alice");
}

#[tokio::test]
async fn key_that_is_absent_from_one_response_is_asked_for_again_after_the_cool_down() {
    let (a, b) = (SigningKey::named(Algorithm::ES256, "a"), SigningKey::named(Algorithm::ES256, "b"));
    let both = json!({ "keys": [a.jwk(), b.jwk()] });
    let remote = Remote::with(|endpoint| endpoint.serve(both.clone()), |keys| keys, |issuer| issuer).await;
    let token = remote.token().key(&b).sign();
    remote.send(&token).await.assert_subject("alice");
    remote.endpoint.serve(json!({ "keys": [a.jwk()] }));
    remote.pass(510).await;
    remote.send(&token).await.assert_invalid("key_unknown");
    remote.endpoint.serve(both);
    remote.pass(29).await;
    remote.send(&token).await.assert_invalid("key_unknown");
    remote.pass(1).await;
    remote.send(&token).await.assert_subject("alice");
}

#[tokio::test]
async fn tokens_of_a_removed_key_are_asked_for_ever_more_rarely() {
    let remote = Remote::new().await;
    let old = remote.token().sign();
    remote.issuer.rotate();
    remote.pass(510).await;
    let before = remote.endpoint.fetches();
    let mut seconds = Vec::new();
    for second in 1..=460 {
        remote.clock.advance(support::seconds(1));
        let fetches = remote.endpoint.fetches();
        remote.send(&old).await.assert_invalid("key_unknown");
        if remote.endpoint.fetches() > fetches {
            seconds.push(second);
        }
    }
    assert_eq!(seconds, [30, 90, 210, 450], "{} fetches", remote.endpoint.fetches() - before);
}

/// Sets without any key that can be used.
fn useless_sets() -> Vec<serde_json::Value> {
    let key = SigningKey::named(Algorithm::ES256, "encrypts");
    let mut encrypts = key.jwk();
    encrypts["use"] = "enc".into();
    let secret = json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" });
    vec![json!({ "keys": [] }), json!({ "keys": [encrypts] }), json!({ "keys": [secret, { "kty": "new" }] })]
}

// (76)
#[tokio::test]
async fn well_formed_set_without_any_usable_key_retires_the_keys() {
    for set in useless_sets() {
        let minute = |endpoint: &Endpoint| endpoint.header(header::CACHE_CONTROL, "max-age=60");
        let remote = Remote::with(minute, |keys| keys, |issuer| issuer).await;
        let (cached, fresh) = (remote.token().sign(), remote.token().sign());
        remote.send(&cached).await.assert_subject("alice");
        remote.endpoint.serve(set.clone());
        remote.pass(51).await;
        remote.send(&cached).await.assert_invalid("key_unknown");
        remote.send(&fresh).await.assert_invalid("key_unknown");
        assert!(!remote.jwt.is_ready(), "{set}");
        // Nothing is known about any other key.
        remote.send(&remote.forged("another")).await.assert_unavailable("keys_unavailable");
        // The issuer corrects its mistake.
        remote.endpoint.serve(remote.issuer.jwk_set());
        remote.pass(1).await;
        assert!(remote.jwt.is_ready(), "{set}");
        remote.send(&cached).await.assert_subject("alice");
    }
}

#[tokio::test]
async fn set_without_any_usable_key_that_an_unknown_kid_has_fetched_retires_the_keys() {
    let remote = Remote::new().await;
    let cached = remote.token().sign();
    remote.send(&cached).await.assert_subject("alice");
    remote.endpoint.serve(json!({ "keys": [] }));
    remote.send(&remote.forged("new")).await.assert_unavailable("keys_unavailable");
    remote.send(&cached).await.assert_invalid("key_unknown");
}

#[tokio::test]
async fn set_without_any_usable_key_is_not_ready_at_start_and_is_fetched_again_soon() {
    for set in useless_sets() {
        let remote = Remote::with(|endpoint| endpoint.serve(set.clone()), |keys| keys, |issuer| issuer).await;
        assert!(!remote.jwt.is_ready(), "{set}");
        remote.send(&remote.token().sign()).await.assert_unavailable("keys_unavailable");
        remote.endpoint.serve(remote.issuer.jwk_set());
        remote.pass(1).await;
        remote.send(&remote.token().sign()).await.assert_subject("alice");
    }
}

#[tokio::test]
async fn etag_of_a_set_without_any_usable_key_does_not_keep_it_alive() {
    let remote = Remote::new().await;
    remote.endpoint.header(header::ETAG, "\"1\"");
    remote.endpoint.serve(json!({ "keys": [] }));
    remote.pass(510).await;
    remote.pass(1).await;
    assert!(!remote.jwt.is_ready());
}

#[tokio::test]
async fn rotated_key_is_accepted_within_a_second_in_a_flood_of_unknown_kids() {
    let remote = Remote::new().await;
    let mut number = 0;
    let mut flood = async |remote: &Remote| {
        for _ in 0..300 {
            number += 1;
            remote.send(&remote.forged(&format!("kid-{number}"))).await.assert_invalid("key_unknown");
        }
    };
    for _ in 0..10 {
        flood(&remote).await;
        remote.clock.advance(support::seconds(1));
    }
    assert_eq!(remote.endpoint.fetches(), 2, "one at start, one for the first kid");
    remote.issuer.rotate();
    let token = remote.token().sign();
    flood(&remote).await;
    remote.send(&token).await.assert_invalid("key_unknown");
    flood(&remote).await;
    remote.clock.advance(support::seconds(1));
    flood(&remote).await;
    remote.send(&token).await.assert_subject("alice");
    assert_eq!(remote.endpoint.fetches(), 3);
}

// (65)
#[tokio::test]
async fn flood_that_repeats_its_kids_causes_no_more_fetches_than_one_in_each_cool_down() {
    let remote = Remote::new().await;
    for _ in 0..600 {
        for number in 0..10 {
            remote.send(&remote.forged(&format!("kid-{number}"))).await.assert_invalid("key_unknown");
        }
        remote.clock.advance(support::seconds(1));
    }
    // One at start, up to two at 75 to 85 % of the lifetime of 600 s, and one in reserve.
    assert!(remote.endpoint.fetches() <= 600 / 30 + 4, "{}", remote.endpoint.fetches());
}

// (67)
#[tokio::test]
async fn failed_fetch_removes_no_keys() {
    let jwks = |keys: &str| format!(r#"{{"keys":[{keys}]}}"#);
    let long = jwks(&vec![r#"{"kty":"?"}"#; 101].join(","));
    let huge = format!("{}{}", " ".repeat(256 * 1024), jwks(""));
    let remote = Remote::new().await;
    let good = remote.token().sign();
    let bad = [
        (StatusCode::INTERNAL_SERVER_ERROR, remote.issuer.jwk_set().to_string()),
        (StatusCode::OK, "<!doctype html><title>Sign in</title>".to_owned()),
        (StatusCode::FOUND, remote.issuer.jwk_set().to_string()),
        (StatusCode::NO_CONTENT, String::new()),
        (StatusCode::NOT_MODIFIED, String::new()),
        (StatusCode::OK, r#"{"keys":[{"kty":"#.to_owned()),
        (StatusCode::OK, String::new()),
        (StatusCode::OK, "[]".to_owned()),
        (StatusCode::OK, r#"{"keys":{}}"#.to_owned()),
        (StatusCode::OK, long),
        (StatusCode::OK, huge),
    ];
    for (status, body) in bad {
        remote.endpoint.set(Mode::Canned(status, body.clone()));
        let fetches = remote.endpoint.fetches();
        remote.pass(36).await;
        remote.send(&remote.forged("new")).await.assert_unavailable("keys_unavailable");
        assert!(remote.endpoint.fetches() > fetches, "{status} {body:.40}");
        remote.send(&good).await.assert_subject("alice");
        assert!(remote.jwt.is_ready());
    }
}

// (68)
#[tokio::test]
async fn response_of_a_custom_client_beyond_the_limit_is_refused() {
    let remote = Remote::new().await;
    let spaces = " ".repeat(256 * 1024);
    remote.endpoint.set(Mode::Canned(StatusCode::OK, format!("{spaces}{}", remote.issuer.jwk_set())));
    remote.issuer.rotate();
    remote.send(&remote.token().sign()).await.assert_unavailable("keys_unavailable");
}

// (75)
#[tokio::test]
async fn lifetime_of_cache_control_is_clamped() {
    for (said, early, late) in [
        ("max-age=0", 44, 51),
        ("max-age=-1", 44, 51),
        ("max-age=1000000000000", 64_799, 73_440),
        ("max-age=3600, public", 2_699, 3_060),
    ] {
        let remote =
            Remote::with(|endpoint| endpoint.header(header::CACHE_CONTROL, said), |keys| keys, |issuer| issuer).await;
        remote.pass(early).await;
        assert_eq!(remote.endpoint.fetches(), 1, "{said}");
        remote.pass(late - early).await;
        assert_eq!(remote.endpoint.fetches(), 2, "{said}");
    }
}

// (76)
#[tokio::test]
async fn cached_tokens_are_refused_when_their_key_leaves_the_set() {
    // Sooner than cached tokens are forgotten anyway.
    let minute = |endpoint: &Endpoint| endpoint.header(header::CACHE_CONTROL, "max-age=60");
    let remote = Remote::with(minute, |keys| keys, |issuer| issuer).await;
    let (old, stays) = (remote.token().sign(), SigningKey::named(Algorithm::ES256, "stays"));
    let first = remote.issuer.key();
    remote.issuer.publish(stays.clone());
    let other = remote.token().sign();
    remote.send(&old).await.assert_subject("alice");
    remote.send(&other).await.assert_subject("alice");
    remote.issuer.withdraw(&first);
    remote.send(&old).await.assert_subject("alice");
    remote.pass(51).await;
    remote.send(&old).await.assert_invalid("key_unknown");
    remote.send(&other).await.assert_subject("alice");
}

#[tokio::test]
async fn key_that_changes_under_the_same_kid_is_replaced() {
    let remote = Remote::new().await;
    let (one, other) = (SigningKey::named(Algorithm::ES256, "same"), SigningKey::named(Algorithm::ES256, "same"));
    remote.issuer.publish(one.clone());
    let old = remote.token().sign();
    remote.send(&old).await.assert_subject("alice");
    remote.issuer.withdraw(&one);
    remote.issuer.publish(other);
    remote.pass(510).await;
    remote.send(&old).await.assert_invalid("signature");
    remote.send(&remote.token().sign()).await.assert_subject("alice");
}

#[tokio::test]
async fn key_that_is_published_with_another_algorithm_under_a_known_kid_is_fetched_at_once() {
    let (one, other) = (SigningKey::named(Algorithm::ES256, "same"), SigningKey::named(Algorithm::EdDSA, "same"));
    let serve = |key: &SigningKey| json!({ "keys": [key.jwk()] });
    let remote = Remote::with(|endpoint| endpoint.serve(serve(&one)), |keys| keys, |issuer| issuer).await;
    let token = |key: &SigningKey| remote.token().key(key).sign();
    remote.send(&token(&one)).await.assert_subject("alice");
    assert_eq!(remote.endpoint.fetches(), 1);
    remote.endpoint.serve(serve(&other));
    remote.send(&token(&other)).await.assert_subject("alice");
    remote.send(&token(&one)).await.assert_invalid("key_algorithm");
    assert_eq!(remote.endpoint.fetches(), 2);
}

// (25)
#[tokio::test]
async fn tokens_of_another_algorithm_than_their_key_cost_one_fetch_in_a_cool_down() {
    let remote = Remote::new().await;
    let stranger = SigningKey::named(Algorithm::EdDSA, remote.issuer.key().id());
    let token = remote.token().key(&stranger).sign();
    for _ in 0..100 {
        remote.send(&token).await.assert_invalid("key_algorithm");
    }
    assert_eq!(remote.endpoint.fetches(), 2);
}

#[tokio::test]
async fn key_whose_certificate_is_renewed_stays_the_same_unless_tokens_name_certificates() {
    for (accept, is_same) in [(false, true), (true, false)] {
        let key = SigningKey::named(Algorithm::ES256, "one");
        let serve = |thumbprint: &str| {
            let mut jwk = key.jwk();
            jwk["x5t"] = thumbprint.into();
            json!({ "keys": [jwk] })
        };
        let set_up = |keys: RemoteKeysBuilder| if accept { keys.accept_certificate_thumbprints() } else { keys };
        let remote = Remote::with(|endpoint| endpoint.serve(serve("old")), set_up, |issuer| issuer).await;
        let find = |seconds: u64| {
            let now = START + support::seconds(seconds);
            match remote.keys.find(&KeyRequest::new(Some("one"), Algorithm::ES256, now)) {
                Eventual::Now(Ok(Some(found))) => found,
                other => panic!("{other:?}"),
            }
        };
        let before = find(0);
        remote.endpoint.serve(serve("new"));
        remote.pass(510).await;
        assert_eq!(remote.endpoint.fetches(), 2);
        assert_eq!(Arc::ptr_eq(&before, &find(510)), is_same, "{accept}");
    }
}

// (77)
#[tokio::test]
async fn one_hour_past_their_lifetime_keys_are_not_used_and_tokens_are_503() {
    let remote = Remote::new().await;
    let (cached, fresh) = (remote.token().sign(), remote.token().sign());
    remote.endpoint.set(Mode::Fail);
    remote.pass(END - 1).await;
    remote.send(&cached).await.assert_subject("alice");
    assert!(remote.jwt.is_ready());
    remote.pass(1).await;
    remote.send(&cached).await.assert_unavailable("keys_unavailable");
    remote.send(&fresh).await.assert_unavailable("keys_unavailable");
    assert!(!remote.jwt.is_ready());
    remote.endpoint.set(Mode::Answer);
    remote.pass(36).await;
    assert!(remote.jwt.is_ready());
    remote.send(&cached).await.assert_subject("alice");
}

// (77)
#[tokio::test]
async fn clock_that_is_set_back_does_not_extend_the_lifetime_of_keys() {
    let remote = Remote::new().await;
    remote.endpoint.set(Mode::Fail);
    remote.clock.set(UnixTime::from_secs(START.as_secs() - 864_000));
    let token = || remote.token().sign();
    remote.pass(END - 1).await;
    remote.send(&token()).await.assert_subject("alice");
    remote.pass(1).await;
    remote.send(&token()).await.assert_unavailable("keys_unavailable");
    assert!(!remote.jwt.is_ready());
    remote.endpoint.set(Mode::Answer);
    remote.pass(36).await;
    remote.send(&token()).await.assert_subject("alice");
}

#[tokio::test]
async fn request_that_finds_expired_keys_waits_for_new_ones() {
    let remote = Remote::new().await;
    remote.clock.advance(support::seconds(2 * END));
    remote.send(&remote.token().sign()).await.assert_subject("alice");
}

// (78)
#[tokio::test]
async fn cold_start_with_the_endpoint_down_is_503_and_not_ready_until_it_is_up() {
    let remote = Remote::with(|endpoint| endpoint.set(Mode::Fail), |keys| keys, |issuer| issuer).await;
    let token = remote.token().sign();
    assert!(!remote.jwt.is_ready());
    remote.send(&token).await.assert_unavailable("keys_unavailable");
    for _ in 0..1000 {
        remote.send(&token).await.assert_unavailable("keys_unavailable");
    }
    assert_eq!(remote.endpoint.fetches(), 1);
    remote.endpoint.set(Mode::Answer);
    remote.clock.advance(support::seconds(1));
    remote.send(&token).await.assert_subject("alice");
    assert!(remote.jwt.is_ready());
}

// (78)
#[tokio::test]
async fn cold_start_fetches_once_however_many_requests_wait() {
    let (clock, issuer) = endpoint::issuer();
    let fetch = Endpoint::new(&issuer);
    fetch.set(Mode::Hold);
    let keys = RemoteKeys::builder(JWKS)
        .fetch(fetch.clone())
        .environment(&Environment::default().with_clock(clock.clone()))
        .build()
        .unwrap();
    let app = tokens::app(
        &AuthLayer::new(Jwt::new(tokens::rules(&issuer), keys)).environment(&Environment::default().with_clock(clock)),
    );
    let token = issuer.token("alice").audience(tokens::AUDIENCE).sign();
    let requests = join_all((0..1000).map(|_| support::send(app.clone(), support::bearer(&token))));
    let release = async {
        fetch.arrived().await;
        settle().await;
        fetch.release();
    };
    let (answers, ()) = futures_util::join!(requests, release);
    answers.iter().for_each(|answer| answer.assert_subject("alice"));
    assert_eq!(fetch.fetches(), 1);
}

// (81)
#[tokio::test]
async fn fetch_continues_when_the_request_that_started_it_is_cancelled() {
    let remote = Remote::new().await;
    remote.issuer.rotate();
    remote.endpoint.set(Mode::Hold);
    let token = remote.token().sign();
    let start = |remote: &Remote| {
        let (remote, token) = (remote.clone(), token.clone());
        tokio::spawn(async move { remote.send(&token).await })
    };
    let leader = start(&remote);
    remote.endpoint.arrived().await;
    let follower = start(&remote);
    settle().await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    remote.endpoint.release();
    follower.await.unwrap().assert_subject("alice");
    assert_eq!(remote.endpoint.fetches(), 2);
}

#[tokio::test]
async fn unknown_kid_during_a_fetch_of_older_keys_causes_another_fetch() {
    let remote = Remote::new().await;
    remote.endpoint.set(Mode::Hold);
    remote.clock.advance(support::seconds(510));
    assert!(remote.keys.is_ready());
    remote.endpoint.arrived().await;
    // What is under way brings the keys of before the rotation.
    remote.endpoint.serve(remote.issuer.jwk_set());
    remote.issuer.rotate();
    let token = remote.token().sign();
    let request = remote.send(&token);
    let serve = async {
        settle().await;
        remote.endpoint.release();
        remote.endpoint.arrived().await;
        remote.endpoint.serve(remote.issuer.jwk_set());
        remote.endpoint.release();
    };
    let (answer, ()) = futures_util::join!(request, serve);
    answer.assert_subject("alice");
    assert_eq!(remote.endpoint.fetches(), 3);
}

#[tokio::test]
async fn keys_are_fetched_with_their_etag_and_extended_if_unchanged() {
    let tag = "\"v1\"";
    let remote = Remote::with(|endpoint| endpoint.header(header::ETAG, tag), |keys| keys, |issuer| issuer).await;
    let token = remote.token().sign();
    remote.pass(510).await;
    let requests = remote.endpoint.requests();
    assert_eq!(requests.len(), 2);
    assert!(!requests[0].headers().contains_key(header::IF_NONE_MATCH));
    assert_eq!(requests[1].headers()[header::IF_NONE_MATCH], tag);
    remote.endpoint.set(Mode::Fail);
    remote.pass(END - 1).await;
    remote.send(&token).await.assert_subject("alice");
    remote.pass(1).await;
    remote.send(&token).await.assert_unavailable("keys_unavailable");
}

#[tokio::test]
async fn custom_client_that_panics_fails_one_fetch() {
    let remote = Remote::with(|endpoint| endpoint.set(Mode::Panic), |keys| keys, |issuer| issuer).await;
    let token = remote.token().sign();
    remote.send(&token).await.assert_unavailable("keys_unavailable");
    remote.endpoint.set(Mode::Answer);
    remote.clock.advance(support::seconds(1));
    remote.send(&token).await.assert_subject("alice");
}

#[test]
fn keys_built_outside_a_runtime_are_fetched_in_the_first_one() {
    let (clock, issuer) = endpoint::issuer();
    let fetch = Endpoint::new(&issuer);
    let keys = RemoteKeys::builder(JWKS)
        .fetch(fetch.clone())
        .environment(&Environment::default().with_clock(clock.clone()))
        .build()
        .unwrap();
    let jwt = Jwt::new(tokens::rules(&issuer), keys.clone());
    let app = tokens::app(&AuthLayer::new(jwt).environment(&Environment::default().with_clock(clock)));
    assert!(!keys.is_ready());
    let run = |token: String| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(support::send(app.clone(), support::bearer(&token)))
    };
    let token = || issuer.token("alice").audience(tokens::AUDIENCE).sign();
    run(token()).assert_subject("alice");
    issuer.rotate();
    run(token()).assert_subject("alice");
    assert_eq!(fetch.fetches(), 2);
}

#[tokio::test]
async fn refresh_task_exits_with_the_last_clone() {
    let (clock, issuer) = endpoint::issuer();
    let fetch = Endpoint::new(&issuer);
    let keys = RemoteKeys::builder(JWKS)
        .fetch(fetch.clone())
        .environment(&Environment::default().with_clock(clock))
        .connect()
        .await
        .unwrap();
    let clone = keys.clone();
    drop(keys);
    settle().await;
    assert!(fetch.holders() > 1);
    drop(clone);
    settle().await;
    assert_eq!(fetch.holders(), 1);
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test]
async fn keys_are_fetched_again_when_the_clock_is_set_back() {
    let remote = Remote::new().await;
    remote.clock.set(UnixTime::from_secs(START.as_secs() - 86_400));
    remote.pass(0).await;
    assert_eq!(remote.endpoint.fetches(), 2);
    remote.send(&remote.token().sign()).await.assert_subject("alice");
}

/// Eight callers, twenty rotations: each token is of a key that is published, or of none.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotation_under_load_refuses_no_valid_token_and_accepts_no_invalid_one() {
    let remote = Remote::new().await;
    let (is_over, counts) = (Arc::new(AtomicBool::new(false)), Arc::new([const { AtomicUsize::new(0) }; 8]));
    let stranger = SigningKey::generate(Algorithm::ES256);
    let callers: Vec<_> = (0..counts.len())
        .map(|caller| {
            let (remote, is_over, counts, stranger) =
                (remote.clone(), Arc::clone(&is_over), Arc::clone(&counts), stranger.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::SeqCst) {
                    remote.send(&remote.token().sign()).await.assert_subject("alice");
                    let kid = remote.issuer.key().id().to_owned();
                    let bad = remote.token().key(&stranger).header("kid", kid).sign();
                    remote.send(&bad).await.assert_invalid("signature");
                    counts[caller].fetch_add(1, Ordering::SeqCst);
                    // Nothing in a round waits, and there are fewer threads than callers.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    // Until each caller has begun and ended a round.
    let rounds = async || {
        let seen = counts.each_ref().map(|count| count.load(Ordering::SeqCst));
        while counts.iter().zip(seen).any(|(count, seen)| count.load(Ordering::SeqCst) < seen + 2) {
            assert!(callers.iter().all(|caller| !caller.is_finished()), "a caller gave up");
            tokio::task::yield_now().await;
        }
    };
    let mut gone = Vec::new();
    for number in 0..20 {
        let (old, late) = (remote.issuer.key(), remote.token().sign());
        remote.clock.advance(support::seconds(31));
        remote.issuer.publish(SigningKey::named(Algorithm::ES256, format!("rotated-{number}")));
        rounds().await;
        remote.send(&late).await.assert_subject("alice");
        remote.issuer.withdraw(&old);
        gone.push(late);
    }
    is_over.store(true, Ordering::SeqCst);
    join_all(callers).await.into_iter().for_each(Result::unwrap);
    assert_eq!(remote.endpoint.fetches(), 21, "one at start, and one for each rotation");
    remote.clock.advance(support::seconds(31));
    remote.send(&remote.forged("unknown")).await.assert_invalid("key_unknown");
    for late in &gone {
        remote.send(late).await.assert_invalid("key_unknown");
    }
    println!("{counts:?} rounds of a good and a bad token, 20 rotations");
}
