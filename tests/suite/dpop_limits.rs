//! Bounds in time and number: how many proofs are recorded, for how long, and whose clock decides.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex},
};

use serde_json::json;
use tower_warden::{
    Digest, Environment, Eventual, UnixTime,
    caller::{Confirmation, SenderConstraint},
    certificate::{CertificateProof, ChainStatus},
    dpop::{Dpop, Nonces},
    jwt::{Algorithm, Jwt},
    layer::AuthLayer,
    replay::{MemoryReplayGuard, ReplayGuard, ReplayVerdict, UsedProof},
    testing::SigningKey,
};

use crate::{
    dpop::{API, Stack, assert_invalid_proof, dpop, dpop_request},
    support::{START, app, bearer, seconds, send},
    tokens::{AUDIENCE, rules},
};

/// The verdict on a proof of this key and id at this time, valid for another 300 seconds.
fn record(guard: &MemoryReplayGuard, key: &str, id: &str, now: UnixTime) -> ReplayVerdict {
    let digest = |text: &str| Digest::of(text.as_bytes());
    let proof = UsedProof::new(digest(key), digest(id), now + seconds(300), now).with_window(seconds(330));
    match guard.record(&proof) {
        Eventual::Now(verdict) => verdict.unwrap(),
        Eventual::Later(_) => panic!("the guard in memory has no I/O"),
    }
}

#[tokio::test]
async fn a_key_with_a_thousand_and_one_proofs_in_five_minutes_is_not_refused() {
    let stack = Stack::new();
    for number in 0..1001_u64 {
        stack.clock.set(START + seconds(number * 300 / 1001));
        stack.accepts(&stack.proof().claim("iat", stack.now())).await;
    }
}

#[tokio::test]
async fn a_key_with_more_proofs_than_declared_is_429_with_the_time_to_wait_and_never_a_proof_error() {
    let rate = |rate| NonZeroU32::new(rate).unwrap();
    let stack = Stack::with(|dpop| {
        let dpop = dpop.window(seconds(5), seconds(0)).unwrap();
        dpop.replay_guard(MemoryReplayGuard::for_rates(rate(10), rate(2)))
    });
    let others = ["bob", "carol"].map(|name| {
        let key = SigningKey::generate(Algorithm::ES256);
        let token = stack.issuer.token(name).audience(AUDIENCE).confirmation(&key.confirmation()).sign();
        (name, key, token)
    });
    // A window of five seconds has six seconds.
    for _ in 0..12 {
        stack.accepts(&stack.proof()).await;
    }
    let answer = stack.prove(&stack.proof().sign()).await;
    assert_eq!((answer.status.as_u16(), answer.reason), (429, Some("dpop_replay_key_full")));
    assert_eq!((answer.header("retry-after"), answer.header("www-authenticate")), (Some("6"), None));
    assert_eq!(answer.json()["code"], "quota_exceeded");
    // Others are not affected, and a request after that time is accepted.
    for (name, key, token) in &others {
        let proof = key.proof("GET", API, token, START).sign();
        stack.send(dpop(token).header("dpop", proof)).await.assert_subject(name);
    }
    stack.clock.advance(seconds(6));
    stack.accepts(&stack.proof()).await;
}

#[test]
fn a_hundred_keys_at_the_rate_of_333_a_second_do_not_fill_the_guard() {
    let guard = MemoryReplayGuard::default();
    for number in 0..200_000_u64 {
        let (key, now) = (format!("key {}", number % 100), START + seconds(number / 333));
        assert_eq!(record(&guard, &key, &number.to_string(), now), ReplayVerdict::New, "{number}");
    }
}

#[test]
fn neither_one_key_nor_many_take_the_place_of_a_key_that_has_sent_none() {
    let one = |rate| NonZeroU32::new(rate).unwrap();
    // The rate of a key is that of all.
    let guard = MemoryReplayGuard::for_rates(one(10), one(10));
    let fill =
        |key: &str| (0..).take_while(|id| record(&guard, key, &id.to_string(), START) == ReplayVerdict::New).count();
    let capacity = 10 * 331;
    assert_eq!(fill("greedy"), capacity / 2, "one key takes half");
    for number in 0..50 {
        fill(&format!("key {number}"));
    }
    assert_eq!(record(&guard, "greedy", "another", START), ReplayVerdict::Full);
    // With a fixed capacity that a key could take alone, one place is left.
    let number = |number| NonZeroUsize::new(number).unwrap();
    let guard = MemoryReplayGuard::new(number(5), number(5));
    let verdicts: Vec<_> = (0..5).map(|id| record(&guard, "greedy", &id.to_string(), START)).collect();
    assert_eq!(verdicts[3..], [ReplayVerdict::New, ReplayVerdict::KeyFull]);
    assert_eq!(record(&guard, "modest", "1", START), ReplayVerdict::New);
    assert_eq!(record(&guard, "another", "1", START), ReplayVerdict::Full);
}

#[tokio::test]
async fn a_fresh_nonce_decides_the_time_of_a_client_whose_clock_is_wrong() {
    let stack = Stack::with(|dpop| dpop.nonces(Nonces::random().unwrap()));
    let now = START.as_secs();
    for time in [now - 3600, now - 61, now + 11, now + 3600] {
        // The first request has no nonce: the client is asked for one, whatever its clock.
        let answer = stack.prove(&stack.proof().claim("iat", time).sign()).await;
        assert_eq!((answer.status.as_u16(), answer.reason), (401, Some("dpop_nonce_missing")));
        let nonce = answer.header("dpop-nonce").unwrap().to_owned();
        let proof = stack.proof().claim("iat", time).claim("nonce", nonce);
        stack.accepts(&proof.clone().claim("jti", time.to_string()).claim("exp", time + 60).claim("nbf", time)).await;
        stack.accepts(&proof).await;
        stack.refuses(&proof.sign(), "dpop_replay").await;
    }
    let nonce = stack.prove(&stack.proof().sign()).await.header("dpop-nonce").unwrap().to_owned();
    let at = |time: u64| stack.proof().claim("iat", time).claim("nonce", &*nonce);
    stack.refuses(&at(now - 3601).sign(), "dpop_too_old").await;
    stack.refuses(&at(now + 3601).sign(), "dpop_in_future").await;
    stack.refuses(&at(now).claim("exp", now - 3600).sign(), "dpop_expired").await;
    // Without a fresh nonce, no time helps.
    for time in [now, now - 3600, now + 3600] {
        let answer = stack.prove(&at(time).claim("nonce", "stale").sign()).await;
        assert_eq!(answer.reason, Some("dpop_nonce_stale"));
    }
}

#[tokio::test]
async fn the_window_with_nonces_can_be_narrow_and_is_at_most_an_hour() {
    let narrow = |dpop: Dpop| dpop.nonces(Nonces::random().unwrap()).window(seconds(60), seconds(10)).unwrap();
    let stack = Stack::with(narrow);
    let nonce = stack.prove(&stack.proof().sign()).await.header("dpop-nonce").unwrap().to_owned();
    let at = |time: u64| stack.proof().claim("iat", time).claim("nonce", &*nonce);
    let now = stack.now();
    stack.accepts(&at(now - 60)).await;
    stack.accepts(&at(now + 10)).await;
    stack.refuses(&at(now - 61).sign(), "dpop_too_old").await;
    stack.refuses(&at(now + 11).sign(), "dpop_in_future").await;

    let dpop = || Dpop::new(API).unwrap();
    let with_nonces = || dpop().nonces(Nonces::random().unwrap());
    assert!(with_nonces().window(seconds(3600), seconds(3600)).is_ok());
    assert!(with_nonces().window(seconds(3601), seconds(0)).is_err());
    assert!(with_nonces().window(seconds(0), seconds(3601)).is_err());
    let error = dpop().window(seconds(3600), seconds(60)).unwrap_err();
    assert!(error.to_string().contains("`Dpop::nonces`"), "{error}");
}

#[tokio::test]
async fn a_proof_with_a_nonce_is_recorded_for_no_longer_than_its_nonce_is_valid() {
    struct Short;
    impl ReplayGuard for Short {
        fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, tower_warden::Unavailable>> {
            // START is at the beginning of a window of 180 seconds: the nonce is valid in this one and the next.
            assert_eq!((proof.until, proof.window), (START + seconds(359), seconds(360)));
            Eventual::Now(Ok(ReplayVerdict::New))
        }
    }
    let stack = Stack::with(|dpop| dpop.nonces(Nonces::random().unwrap()).replay_guard(Short));
    let nonce = stack.prove(&stack.proof().sign()).await.header("dpop-nonce").unwrap().to_owned();
    stack.accepts(&stack.proof().claim("iat", json!(stack.now() + 3600)).claim("nonce", nonce)).await;
}

#[tokio::test]
async fn a_demand_for_a_certificate_is_not_met_by_a_key_nor_one_for_a_key_by_a_certificate() {
    let key = SigningKey::generate(Algorithm::ES256);
    let constrained = |constraint| move |layer: AuthLayer| layer.proof(CertificateProof).sender_constrained(constraint);
    let stack = Stack::of(key, |dpop| dpop, constrained(SenderConstraint::Certificate));
    let refused = stack.prove(&stack.proof().sign()).await;
    assert_eq!((refused.status.as_u16(), refused.reason), (401, Some("not_sender_constrained")));

    let holder = crate::pki::Authority::new("clients").client("alice");
    let bound = Confirmation::certificate(holder.thumbprint());
    let token = stack.issuer.token("alice").audience(AUDIENCE).confirmation(&bound).sign();
    let peer = holder.peer(ChainStatus::Unverified);
    stack.send(bearer(&token).extension(peer.clone())).await.assert_subject("alice");

    let auth = AuthLayer::new(Jwt::new(rules(&stack.issuer), stack.issuer.clone()))
        .environment(&Environment::default().with_clock(stack.clock.clone()))
        .dpop(Dpop::new(API).unwrap());
    let app = app(&constrained(SenderConstraint::Key)(auth));
    let refused = send(app, bearer(&token).extension(peer)).await;
    assert_eq!((refused.status.as_u16(), refused.reason), (401, Some("not_sender_constrained")));
}

#[tokio::test]
async fn an_invalid_proof_is_reported_before_the_guard_is_full() {
    let number = |number| NonZeroUsize::new(number).unwrap();
    let stack = Stack::with(|dpop| dpop.replay_guard(MemoryReplayGuard::new(number(1), number(1))));
    stack.accepts(&stack.proof()).await;
    assert_invalid_proof(&stack.prove(&stack.proof().claim("htm", "PUT").sign()).await, "dpop_htm");
}

/// Prints the header fields of a request into this log.
fn printing<B>(log: &Arc<Mutex<String>>) -> impl Fn(http::Request<B>) -> http::Request<B> + Clone + use<B> {
    let log = Arc::clone(log);
    move |request| {
        *log.lock().unwrap() = format!("{:?}", request.headers());
        request
    }
}

#[tokio::test]
async fn proof_is_marked_as_sensitive_inside_the_layer_and_by_the_conceal_layer() {
    let stack = Stack::new();
    let auth = AuthLayer::new(Jwt::new(rules(&stack.issuer), stack.issuer.clone()))
        .environment(&Environment::default().with_clock(stack.clock.clone()))
        .dpop(Dpop::new(API).unwrap());
    let (inside, outside) = (Arc::<Mutex<String>>::default(), Arc::default());
    let service = tower::ServiceBuilder::new()
        .layer(auth.conceal_layer())
        .map_request(printing(&outside))
        .layer(auth.clone())
        .map_request(printing(&inside))
        .service_fn(crate::support::answer);
    let alone =
        tower::ServiceBuilder::new().layer(auth).map_request(printing(&inside)).service_fn(crate::support::answer);
    let (first, second) = (stack.proof().claim("jti", "1").sign(), stack.proof().claim("jti", "2").sign());
    send(service, dpop_request(&stack.token, &first)).await.assert_subject("alice");
    send(alone, dpop_request(&stack.token, &second)).await.assert_subject("alice");
    for (log, proof) in [(&outside, &first), (&inside, &second)] {
        let printed = log.lock().unwrap();
        assert!(printed.contains("dpop") && !printed.contains(&**proof), "{printed}");
    }
}
