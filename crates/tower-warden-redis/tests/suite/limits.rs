//! Limits that nodes share on a real Redis server, which is killed, paused and restarted under load.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use redis::AsyncCommands;
use tokio::time::sleep;
use tower_warden::{
    Clock, Eventual, SystemClock,
    layer::RateLimitLayer,
    rate_limit::{
        Decision, LimitBy, LimitExceeded, LimitRequest, LocalRateLimiter, ManualStopwatch, Quota, QuotaSet,
        RateLimiter, UtcOffset,
    },
};
use tower_warden_redis::{OnOutage, RedisConnection, RedisProblem, RedisRateLimiter};
use tracing::Level;

use crate::{
    problems::Lines,
    server::{Redis, TEST_TIMEOUT},
    support::{App, connection, from_peer, limit_key, limited, seconds, secret, send, until},
};

/// Far more than a decision takes, so that no test depends on the machine's speed.
pub(crate) const UNHURRIED: Duration = Duration::from_secs(30);

pub(crate) fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// A name that no other test uses.
fn name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};

    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

pub(crate) async fn node(redis: &Redis) -> RedisRateLimiter {
    RedisRateLimiter::new(connection(redis, UNHURRIED).await, secret())
}

pub(crate) async fn take(limiter: &RedisRateLimiter, name: &str, quotas: &QuotaSet, cost: u32) -> Decision {
    limiter.take(&LimitRequest::new(&limit_key(name), quotas).cost(number(cost))).wait().await.unwrap()
}

pub(crate) async fn is_admitted(limiter: &RedisRateLimiter, name: &str, quotas: &QuotaSet) -> bool {
    !matches!(take(limiter, name, quotas, 1).await, Decision::Refused(_))
}

async fn refusal(limiter: &RedisRateLimiter, name: &str, quotas: &QuotaSet, cost: u32) -> LimitExceeded {
    match take(limiter, name, quotas, cost).await {
        Decision::Refused(exceeded) => exceeded,
        other => panic!("{other:?}"),
    }
}

/// How many of so many requests at once are admitted.
async fn admitted_at_once(limiters: &[RedisRateLimiter], name: &str, quotas: &QuotaSet, count: usize) -> usize {
    let tasks = (0..count).map(|index| {
        let (limiter, name, quotas) = (limiters[index % limiters.len()].clone(), name.to_owned(), quotas.clone());
        tokio::spawn(async move { is_admitted(&limiter, &name, &quotas).await })
    });
    join_all(tasks).await.into_iter().filter(|admitted| *admitted.as_ref().unwrap()).count()
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn redis_decides_as_a_local_limiter_does() {
    let redis = Redis::shared().await;
    let (far, near) = (node(&redis).await, LocalRateLimiter::default());
    // So slow that no unit becomes available while the test runs.
    let quotas = QuotaSet::new([Quota::per_day(20), Quota::per_day(31).burst(30).named("wider")]).unwrap();
    let mut random = 12_345_u32;
    for _ in 0..5 {
        let name = name();
        for _ in 0..30 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let cost = 1 + (random >> 16) % 9;
            let Eventual::Now(near) = near.take(&LimitRequest::new(&limit_key(&name), &quotas).cost(number(cost)))
            else {
                panic!()
            };
            match (take(&far, &name, &quotas, cost).await, near.unwrap()) {
                (Decision::Admitted(far), Decision::Admitted(near)) => {
                    assert_eq!((far.quota, far.remaining), (near.quota, near.remaining));
                }
                (Decision::Refused(far), Decision::Refused(near)) => {
                    assert_eq!(far.violated, near.violated);
                    assert!(far.wait.abs_diff(near.wait) < seconds(60), "{far:?} {near:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let all = name();
    // (120)
    assert!(matches!(take(&far, &all, &quotas, u32::MAX).await, Decision::Admitted(_)));
    assert_eq!(refusal(&far, &all, &quotas, u32::MAX).await.violated, [0, 1]);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_client_that_waits_for_the_reported_time_is_admitted() {
    let redis = Redis::shared().await;
    let (limiter, name, quotas) = (node(&redis).await, name(), QuotaSet::from(Quota::per_second(7).burst(3)));
    for _ in 0..3 {
        assert!(is_admitted(&limiter, &name, &quotas).await);
    }
    for _ in 0..5 {
        // On a slow machine, a unit is available already.
        let Decision::Refused(exceeded) = take(&limiter, &name, &quotas, 1).await else { continue };
        // (119): further requests do not extend it.
        for _ in 0..10 {
            let Decision::Refused(again) = take(&limiter, &name, &quotas, 1).await else { return };
            assert!(again.wait <= exceeded.wait);
        }
        sleep(exceeded.wait).await;
        assert!(is_admitted(&limiter, &name, &quotas).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn two_nodes_at_once_admit_exactly_the_quota() {
    // (115)
    let redis = Redis::shared().await;
    let nodes = [node(&redis).await, node(&redis).await];
    let quotas = QuotaSet::new([Quota::per_day(100), Quota::per_day(150).named("wider")]).unwrap();
    assert_eq!(admitted_at_once(&nodes, &name(), &quotas, 1_000).await, 100);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_decision_is_one_round_trip_for_all_quotas() {
    let redis = Redis::start().await;
    let limiter = node(&redis).await;
    let quotas = (1..=8_u32).map(|n| Quota::new(&format!("q{n}"), number(100), seconds(60), number(100)).unwrap());
    let (quotas, name) = (QuotaSet::new(quotas).unwrap(), name());
    // The first request loads the script.
    assert!(is_admitted(&limiter, &name, &quotas).await);
    let before = (redis.calls("evalsha").await, redis.calls("eval").await);
    for _ in 0..10 {
        assert!(is_admitted(&limiter, &name, &quotas).await);
    }
    assert_eq!((redis.calls("evalsha").await, redis.calls("eval").await), (before.0 + 10, before.1));
    assert_eq!(limiter.counts().redis, 11);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_script_that_the_server_lacks_is_loaded_again() {
    let redis = Redis::start().await;
    let (limiter, name, quotas) = (node(&redis).await, name(), QuotaSet::from(Quota::per_day(3)));
    for forget in ["none", "SCRIPT", "none"] {
        if forget == "SCRIPT" {
            let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut redis.connection().await).await.unwrap();
        }
        assert!(is_admitted(&limiter, &name, &quotas).await);
    }
    assert!(!is_admitted(&limiter, &name, &quotas).await);
    assert_eq!(limiter.counts().outage_local, 0);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn keys_are_digests_that_expire_and_share_a_slot() {
    // (118)
    let redis = Redis::start().await;
    let limiter = node(&redis).await;
    let quotas = QuotaSet::new([Quota::per_minute(5), Quota::per_day(5).named("daily")]).unwrap();
    for odd in ["alice", "a:b", "a}{b", "a\nb\r\n*", &"x".repeat(1 << 20)] {
        assert!(is_admitted(&limiter, odd, &quotas).await);
    }
    let mut connection = redis.connection().await;
    let keys: Vec<String> = connection.keys("*").await.unwrap();
    assert_eq!(keys.len(), 10);
    let mut slots = std::collections::HashMap::<String, usize>::new();
    for key in &keys {
        let rest = key.strip_prefix("test:tower-warden:limit:2:{").unwrap();
        let (digest, quota) = rest.split_once("}:").unwrap();
        let is_hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_hex(digest, 32) && is_hex(quota, 16), "{key}");
        *slots.entry(digest.to_owned()).or_default() += 1;
        let lifetime: i64 = connection.pttl(key).await.unwrap();
        assert!((1..=86_400_000 / 5 + 1).contains(&lifetime), "{key} lives for {lifetime} ms");
    }
    assert!(slots.len() == 5 && slots.values().all(|keys| *keys == 2));
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_key_expires_when_its_whole_burst_is_available_again() {
    let redis = Redis::start().await;
    let (limiter, quotas) = (node(&redis).await, QuotaSet::from(Quota::per_second(20)));
    for _ in 0..5 {
        assert!(is_admitted(&limiter, "alice", &quotas).await);
    }
    let mut connection = redis.connection().await;
    until(async || connection.keys::<_, Vec<String>>("*").await.unwrap().is_empty(), "the key expires").await;
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn setting_the_clock_of_the_server_locks_no_caller_out_for_longer_than_the_burst() {
    // (116): to the script, a TAT that was stored before the clock was set back looks the same.
    let redis = Redis::start().await;
    let quotas = QuotaSet::from(Quota::per_minute(6));
    assert!(is_admitted(&node(&redis).await, "alice", &quotas).await);
    let mut connection = redis.connection().await;
    let keys: Vec<String> = connection.keys("*").await.unwrap();
    for (paid, waits) in [("9000000000000000", true), ("1000000000000", false), ("0", false)] {
        let () = connection.set(&keys[0], paid).await.unwrap();
        // A new node, which knows no exhausted keys.
        match take(&node(&redis).await, "alice", &quotas, 1).await {
            Decision::Refused(exceeded) => assert!(waits && exceeded.wait <= seconds(10), "{exceeded:?}"),
            Decision::Admitted(status) => assert!(!waits && status.remaining == 5, "{status:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn an_exhausted_quota_is_refused_without_a_round_trip_until_a_unit_is_available() {
    let redis = Redis::start().await;
    let stopwatch = ManualStopwatch::default();
    let nodes = [node(&redis).await, node(&redis).await.stopwatch(stopwatch.clone())];
    // So slow that no unit becomes available in Redis while the test runs.
    let (quotas, name) = (QuotaSet::from(Quota::per_day(2)), name());
    for _ in 0..2 {
        assert!(is_admitted(&nodes[0], &name, &quotas).await);
    }
    let known = refusal(&nodes[1], &name, &quotas, 1).await;
    let before = redis.calls("evalsha").await;
    for waited in [Duration::ZERO, known.wait - seconds(1)] {
        stopwatch.advance(waited);
        for _ in 0..100 {
            let answer = nodes[1].take(&LimitRequest::new(&limit_key(&name), &quotas));
            let Eventual::Now(Ok(Decision::Refused(exceeded))) = answer else { panic!("after {waited:?}") };
            assert_eq!(exceeded.wait, known.wait - waited);
        }
    }
    assert_eq!(nodes[1].counts().exhausted, 200);
    assert_eq!(redis.calls("evalsha").await, before);
    stopwatch.advance(seconds(1));
    assert!(matches!(nodes[1].take(&LimitRequest::new(&limit_key(&name), &quotas)), Eventual::Later(_)));
    assert!(!is_admitted(&nodes[1], &name, &quotas).await, "the time of Redis counts");
    assert_eq!(redis.calls("evalsha").await, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn two_nodes_with_leases_admit_no_more_than_their_bound() {
    let redis = Redis::shared().await;
    let lifetime = Duration::from_millis(200);
    let nodes = [node(&redis).await.leased(number(50), lifetime), node(&redis).await.leased(number(50), lifetime)];
    let (quotas, name) = (QuotaSet::from(Quota::per_second(1_000).burst(500)), name());
    let start = Instant::now();
    let mut admitted = 0;
    while start.elapsed() < seconds(1) || (admitted < 500 && start.elapsed() < TEST_TIMEOUT) {
        admitted += admitted_at_once(&nodes, &name, &quotas, 400).await;
    }
    // The burst, and the units of the rate in that time and in one lifetime more.
    let bound = 500.0 + 1_000.0 * (start.elapsed() + lifetime).as_secs_f64();
    assert!(admitted >= 500 && (admitted as f64) <= bound, "{admitted} of {bound}");
    let counts = nodes.each_ref().map(RedisRateLimiter::counts);
    assert!(counts.iter().all(|counts| counts.leased > 0), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_hot_key_with_leases_costs_one_round_trip_for_each_lease() {
    let redis = Redis::start().await;
    let (quotas, name) = (QuotaSet::from(Quota::per_day(1_000_000)), name());
    let leasing = node(&redis).await.leased(number(50), seconds(3_600));
    for _ in 0..1_000 {
        assert!(is_admitted(&leasing, &name, &quotas).await);
    }
    assert_eq!((leasing.counts().redis, leasing.counts().leased), (20, 980));
    // Concurrent requests wait for the one that fetches, and the next one fetches for all that have waited.
    assert_eq!(admitted_at_once(std::slice::from_ref(&leasing), &name, &quotas, 1_000).await, 1_000);
    let trips = leasing.counts().redis - 20;
    // The number depends on the scheduler: a request that has waited in vain three times takes its own unit.
    assert!((1..500).contains(&trips), "{trips} round trips");
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_lease_is_spent_without_round_trips_and_unspent_units_are_lost_at_its_end() {
    let redis = Redis::start().await;
    let stopwatch = ManualStopwatch::default();
    let (quotas, name) = (QuotaSet::from(Quota::per_day(25)), name());
    let leasing = node(&redis).await.leased(number(10), seconds(5)).stopwatch(stopwatch.clone());
    for left in (15..25).rev() {
        let Decision::Admitted(status) = take(&leasing, &name, &quotas, 1).await else { panic!("{left} are left") };
        assert_eq!(status.remaining, left, "the units of Redis and of the lease");
    }
    assert_eq!((leasing.counts().redis, leasing.counts().leased), (1, 9));
    assert!(is_admitted(&leasing, &name, &quotas).await);
    assert_eq!(leasing.counts().redis, 2);
    // Nine are still leased, five are in Redis.
    let exact = node(&redis).await;
    assert!(matches!(take(&exact, &name, &quotas, 6).await, Decision::Refused(_)));
    stopwatch.advance(seconds(5));
    let rest = async || is_admitted(&leasing, &name, &quotas).await;
    let mut count = 0;
    while rest().await {
        count += 1;
    }
    assert_eq!(count, 5, "a lease that is smaller than wanted");
    // A cost above the lease is fetched separately.
    let (quotas, name) = (QuotaSet::from(Quota::per_day(100)), crate::limits::name());
    assert!(matches!(take(&leasing, &name, &quotas, 60).await, Decision::Admitted(_)));
    assert!(matches!(take(&leasing, &name, &quotas, 30).await, Decision::Admitted(_)));
    assert_eq!(refusal(&leasing, &name, &quotas, 11).await.status.remaining, 10);
}

/// The decisions of a node while Redis is down.
#[derive(Clone, Copy)]
struct Case {
    on_outage: OnOutage,
    /// The number of ten requests that are admitted, with a quota of four.
    admitted: usize,
    refused_with: u16,
}

const CASES: [Case; 4] = [
    Case { on_outage: OnOutage::Admit, admitted: 10, refused_with: 0 },
    Case { on_outage: OnOutage::Local { nodes: NonZeroU32::MIN }, admitted: 4, refused_with: 429 },
    Case { on_outage: OnOutage::Local { nodes: NonZeroU32::new(2).unwrap() }, admitted: 2, refused_with: 429 },
    Case { on_outage: OnOutage::Refuse, admitted: 0, refused_with: 503 },
];

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn an_outage_is_decided_as_configured() {
    // (117)
    let redis = Redis::absent();
    for Case { on_outage, admitted, refused_with } in CASES {
        let limiter = node(&redis).await.on_outage(on_outage);
        let app = limited(&RateLimitLayer::new("peers", limiter.clone(), LimitBy::peer(), Quota::per_day(4)));
        let mut passed = 0;
        for _ in 0..10 {
            let answer = send(&app, from_peer()).await;
            if answer.status == 200 {
                passed += 1;
                assert_eq!(answer.headers.contains_key("ratelimit"), on_outage != OnOutage::Admit);
            } else {
                assert_eq!(answer.status.as_u16(), refused_with, "{on_outage:?}");
                assert!(answer.headers.contains_key("retry-after"));
            }
        }
        assert_eq!(passed, admitted, "{on_outage:?}");
        let counts = limiter.counts();
        let counted = [counts.outage_admitted, counts.outage_local, counts.outage_refused];
        let expected = match on_outage {
            OnOutage::Admit => [10, 0, 0],
            OnOutage::Refuse => [0, 0, 10],
            _ => [0, 10, 0],
        };
        assert_eq!((counted, counts.redis), (expected, 0));
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_node_starts_without_redis_and_uses_it_once_it_is_up() {
    let redis = Redis::absent();
    let limiter = node(&redis).await;
    let quotas = QuotaSet::from(Quota::per_day(1_000_000));
    assert!(is_admitted(&limiter, "alice", &quotas).await);
    assert_eq!(limiter.counts().outage_local, 1);
    redis.launch().await;
    until(async || is_admitted(&limiter, "alice", &quotas).await && limiter.counts().redis > 0, "Redis decides").await;
}

/// Sends requests during some work, and returns the statuses.
async fn under_load(app: App, work: impl Future<Output = ()>) -> Vec<u16> {
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load = (0..4).map(|_| {
        let (app, is_over) = (app.clone(), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut statuses = Vec::new();
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                statuses.push(send(&app, from_peer()).await.status.as_u16());
                tokio::task::yield_now().await;
            }
            statuses
        })
    });
    let load: Vec<_> = load.collect();
    work.await;
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    join_all(load).await.into_iter().flat_map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn killing_pausing_and_restarting_redis_under_load_never_results_in_500() {
    // (117)
    let redis = Redis::start().await;
    let connection = connection(&redis, Duration::from_millis(200)).await;
    let limiter = RedisRateLimiter::new(connection.clone(), secret());
    let app = limited(&RateLimitLayer::new("peers", limiter.clone(), LimitBy::peer(), Quota::per_second(1_000_000)));
    let counts = || limiter.counts();
    let continues = async |counter: &dyn Fn() -> u64, what| {
        let before = counter();
        until(async || counter() > before + 10, what).await;
    };
    let statuses = under_load(app, async {
        continues(&|| counts().redis, "Redis decides").await;
        redis.kill();
        until(async || !connection.is_up(), "the connection is down after a kill").await;
        continues(&|| counts().outage_local, "the node decides").await;
        redis.launch().await;
        until(async || connection.is_up(), "the connection is up after a start").await;
        continues(&|| counts().redis, "Redis decides again").await;
        redis.pause();
        until(async || !connection.is_up(), "the connection is down in a pause").await;
        continues(&|| counts().outage_local, "the node decides in a pause").await;
        redis.resume();
        until(async || connection.is_up(), "the connection is up after a pause").await;
        continues(&|| counts().redis, "Redis decides after a pause").await;
    })
    .await;
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_reply_that_takes_longer_than_a_second_is_used_within_a_longer_time_limit() {
    let redis = Redis::start().await;
    let limiter = node(&redis).await;
    let quotas = QuotaSet::from(Quota::per_day(2));
    assert!(is_admitted(&limiter, "alice", &quotas).await);
    redis.pause();
    let resumed = async {
        sleep(Duration::from_millis(1_500)).await;
        redis.resume();
    };
    let (admitted, ()) = tokio::join!(is_admitted(&limiter, "alice", &quotas), resumed);
    assert!(admitted);
    let counts = limiter.counts();
    assert_eq!((counts.redis, counts.outage_local), (2, 0), "{counts:?}");
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn no_request_waits_for_a_redis_that_is_known_to_be_down() {
    // (117)
    let redis = Redis::start().await;
    let connection = connection(&redis, Duration::from_millis(50)).await;
    let limiter = RedisRateLimiter::new(connection.clone(), secret());
    let quotas = QuotaSet::from(Quota::per_day(1_000_000));
    until(async || is_admitted(&limiter, "alice", &quotas).await && limiter.counts().redis > 0, "Redis decides").await;
    redis.pause();
    let mut waited = 0;
    while connection.is_up() {
        assert!(is_admitted(&limiter, "alice", &quotas).await, "a late reply is decided by the node");
        waited += 1;
    }
    assert!(waited <= 3, "{waited} requests waited");
    for _ in 0..100 {
        let decision = limiter.take(&LimitRequest::new(&limit_key("alice"), &quotas));
        assert!(matches!(decision, Eventual::Now(Ok(Decision::Admitted(_)))));
    }
    redis.resume();
    until(async || connection.is_up(), "the connection is up again").await;
}

#[test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
fn a_connection_outlives_the_runtime_it_was_made_on() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let quotas = QuotaSet::from(Quota::per_day(1_000));
    let (redis, limiter) = runtime().block_on(async {
        let redis = Redis::start().await;
        let limiter = node(&redis).await;
        assert!(is_admitted(&limiter, "alice", &quotas).await);
        (redis, limiter)
    });
    runtime().block_on(async {
        let again = async || is_admitted(&limiter, "alice", &quotas).await && limiter.counts().redis > 1;
        until(again, "Redis decides on another runtime").await;
    });
    drop(redis);
}

/// A connection of another user of the server.
async fn as_user(redis: &Redis, user: &str) -> RedisConnection {
    let port = redis.client().get_connection_info().addr().to_string();
    let client = redis::Client::open(format!("redis://{user}@{port}/")).unwrap();
    RedisConnection::connect(client, "test".parse().unwrap()).await.timeout(UNHURRIED)
}

async fn acl(redis: &Redis, rules: &[&str]) {
    let () = redis::cmd("ACL").arg("SETUSER").arg(rules).query_async(&mut redis.connection().await).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn documented_rights_are_enough_and_a_missing_one_is_reported_by_the_check() {
    let redis = Redis::start().await;
    let rights = "on >secret ~test:tower-warden:limit:* ~tower-warden:probe +ping +evalsha +eval +time +get +set +del";
    let rights: Vec<_> = rights.split(' ').collect();
    acl(&redis, &[&["billing"], &rights[..]].concat()).await;
    let limiter = RedisRateLimiter::new(as_user(&redis, "billing:secret").await, secret());
    limiter.check().await.unwrap();
    let quotas = QuotaSet::from(Quota::per_day(1));
    assert!(is_admitted(&limiter, "alice", &quotas).await && !is_admitted(&limiter, "alice", &quotas).await);
    // This node knows that the quota is used up; another one asks Redis, and corrects a cost.
    let counts = limiter.counts();
    assert_eq!((counts.redis, counts.exhausted, counts.outage_local), (1, 1, 0));
    let other = RedisRateLimiter::new(as_user(&redis, "billing:secret").await, secret());
    assert!(!is_admitted(&other, "alice", &quotas).await);
    other.settle(&LimitRequest::new(&limit_key("alice"), &quotas), 0).wait().await.unwrap();
    assert!(is_admitted(&other, "alice", &quotas).await);
    assert_eq!((other.counts().redis, other.counts().outage_local), (2, 0));

    for missing in ["-evalsha", "-time", "-get", "-set", "resetkeys"] {
        acl(&redis, &[&["lacking", "reset"], &rights[..], &[missing]].concat()).await;
        let limiter = RedisRateLimiter::new(as_user(&redis, "lacking:secret").await, secret());
        assert!(limiter.check().await.is_err(), "{missing}");
    }
    let wrong = RedisRateLimiter::new(as_user(&redis, "billing:wrong").await, secret());
    assert!(wrong.check().await.is_err());
    assert!(is_admitted(&wrong, "bob", &quotas).await && !is_admitted(&wrong, "bob", &quotas).await);
    assert_eq!(wrong.counts().outage_local, 2, "each node counts on its own meanwhile");
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn decisions_without_redis_are_one_warning_and_their_end_is_one_line() {
    let redis = Redis::absent();
    let (lines, _guard) = Lines::collect();
    let limiter = node(&redis).await;
    let quotas = QuotaSet::from(Quota::per_day(1_000));
    for _ in 0..50 {
        assert!(is_admitted(&limiter, "alice", &quotas).await);
    }
    assert_eq!(limiter.counts().outage_local, 50);
    assert_eq!(lines.count(Level::WARN, "Redis cannot be used"), 1, "{}", lines.all());
    redis.launch().await;
    until(async || limiter.check().await.is_ok(), "Redis is used").await;
    until(async || lines.count(Level::INFO, "Redis can be used again") == 1, "the end is logged").await;
    assert!(is_admitted(&limiter, "alice", &quotas).await);
    assert_eq!(limiter.counts().redis, 1);
    assert_eq!((lines.count(Level::WARN, ""), lines.count(Level::ERROR, "")), (1, 0), "{}", lines.all());
    assert_eq!(lines.count(Level::INFO, ""), 1, "{}", lines.all());
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn missing_right_of_a_limiter_is_one_error_that_names_it_and_its_end_is_one_line() {
    let redis = Redis::start().await;
    let (lines, _guard) = Lines::collect();
    acl(&redis, &["lacking", "on", ">secret", "~*", "+@all", "-set"]).await;
    let connection = as_user(&redis, "lacking:secret").await;
    let limiter = RedisRateLimiter::new(connection.clone(), secret());
    let quotas = QuotaSet::from(Quota::per_day(1_000));
    for _ in 0..50 {
        assert!(is_admitted(&limiter, "alice", &quotas).await);
    }
    assert_eq!(limiter.counts().outage_local, 50);
    assert_eq!(connection.problem(), Some(RedisProblem::NotPermitted));
    assert_eq!(lines.count(Level::ERROR, "+set"), 1, "{}", lines.all());
    assert_eq!((lines.count(Level::WARN, ""), lines.count(Level::ERROR, "")), (0, 1), "{}", lines.all());
    acl(&redis, &["lacking", "+set"]).await;
    let is_logged = async || {
        assert!(is_admitted(&limiter, "alice", &quotas).await);
        lines.count(Level::INFO, "rate limits") == 1
    };
    until(is_logged, "the end is logged").await;
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn windows_admit_their_number_on_all_nodes_exactly_and_with_leases() {
    let redis = Redis::shared().await;
    let morning = tower_warden::UnixTime::from_secs(1_800_000_000);
    let tomorrow = morning + seconds(86_400);
    let quotas = QuotaSet::new([
        Quota::per_calendar_day(100, UtcOffset::UTC),
        Quota::per_day(110).fixed_window().named("fixed"),
        Quota::per_day(400).sliding().named("sliding"),
    ])
    .unwrap();
    for leased in [None, Some(7)] {
        let mut nodes = vec![node(&redis).await, node(&redis).await];
        if let Some(units) = leased {
            nodes = nodes.into_iter().map(|node| node.leased(number(units), seconds(3_600))).collect();
        }
        let key = limit_key(&name());
        for (at, expected) in [(morning, 100), (tomorrow, 100), (morning, 100)] {
            let request = LimitRequest::new(&key, &quotas).at(at);
            let mut admitted = 0;
            let mut wait = Duration::ZERO;
            for index in 0..240 {
                match nodes[index % 2].take(&request).wait().await.unwrap() {
                    Decision::Admitted(_) => admitted += 1,
                    Decision::Refused(exceeded) => wait = exceeded.wait,
                    other => panic!("{other:?}"),
                }
            }
            // A lease keeps units back on the node that took them; an earlier window has none left.
            let least = if leased.is_some() { expected - 12 } else { expected };
            if at == morning && wait == Duration::ZERO {
                panic!("the window is never used up");
            }
            if (least..=expected).contains(&admitted) {
                assert_eq!(wait, seconds(16 * 3_600), "the window ends at midnight");
            } else {
                assert_eq!(admitted, 0, "a clock that is set back resets nothing");
            }
        }
    }
    let mut connection = redis.connection().await;
    let keys: Vec<String> = connection.keys("test:tower-warden:limit:2:*").await.unwrap();
    for key in keys {
        let lifetime: i64 = connection.pttl(&key).await.unwrap();
        assert!(lifetime > 0, "{key} expires");
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn costs_are_corrected_on_all_nodes() {
    let redis = Redis::start().await;
    for quota in [Quota::per_day(10), Quota::per_day(10).fixed_window()] {
        let (one, other) = (node(&redis).await, node(&redis).await);
        let (key, quotas) = (limit_key("alice"), QuotaSet::from(quota.clone()));
        let request = LimitRequest::new(&key, &quotas);
        let remaining = async |limiter: &RedisRateLimiter| match limiter.take(&request).wait().await.unwrap() {
            Decision::Admitted(status) => Some(status.remaining),
            Decision::Refused(_) => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(remaining(&one).await, Some(9));
        one.settle(&request, 5).wait().await.unwrap();
        assert_eq!(remaining(&other).await, Some(4));
        // Refunded, also where this node knows that the quota was used up.
        let four = request.cost(number(4));
        assert!(matches!(one.take(&four).wait().await.unwrap(), Decision::Admitted(_)));
        assert_eq!(remaining(&one).await, None);
        one.settle(&four, 0).wait().await.unwrap();
        assert_eq!(remaining(&one).await, Some(3));
        // A charge above what is available is made up for.
        one.settle(&request, 34).wait().await.unwrap();
        match one.take(&request).wait().await.unwrap() {
            Decision::Refused(exceeded) if !quota.has_fixed_windows() => {
                let needed = seconds(86_400 / 10 * 31);
                assert!(exceeded.wait <= needed && exceeded.wait > needed - seconds(60), "{exceeded:?}");
            }
            Decision::Refused(exceeded) => assert!(exceeded.wait <= seconds(86_400)),
            other => panic!("{other:?}"),
        }
        assert_eq!(remaining(&other).await, None);
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn charges_and_refunds_take_and_return_their_units_and_no_more() {
    let redis = Redis::start().await;
    let limiter = node(&redis).await;
    // No window ends meanwhile.
    let now = SystemClock::default().now();
    for (number, quota) in [Quota::per_hour(100), Quota::per_hour(100).fixed_window()].into_iter().enumerate() {
        let quotas = QuotaSet::from(quota);
        let keys = ["charged", "refunded", "expensive"].map(|name| limit_key(&format!("{name} {number}")));
        let remaining = async |key| match limiter.take(&LimitRequest::new(key, &quotas).at(now)).wait().await.unwrap() {
            Decision::Admitted(status) => Some(status.remaining),
            Decision::Refused(_) => None,
            other => panic!("{other:?}"),
        };
        // Three hundred charges of one unit, and a refund of most of them.
        assert_eq!(remaining(&keys[0]).await, Some(99));
        let request = LimitRequest::new(&keys[0], &quotas).at(now);
        for cost in 1..301 {
            limiter.settle(&request.settled(cost), cost + 1).wait().await.unwrap();
        }
        assert_eq!(remaining(&keys[0]).await, None);
        limiter.settle(&request.settled(301), 51).wait().await.unwrap();
        assert!((48..=49).contains(&remaining(&keys[0]).await.unwrap()), "51 units and one are taken");

        assert_eq!(remaining(&keys[1]).await, Some(99));
        let request = LimitRequest::new(&keys[1], &quotas).at(now);
        limiter.settle(&request.settled(1), 501).wait().await.unwrap();
        limiter.settle(&request.settled(501), 1).wait().await.unwrap();
        assert_eq!(remaining(&keys[1]).await, Some(98));

        let request = LimitRequest::new(&keys[2], &quotas).at(now).cost(self::number(1_000));
        assert!(matches!(limiter.take(&request).wait().await.unwrap(), Decision::Admitted(_)));
        limiter.settle(&request, 999).wait().await.unwrap();
        limiter.settle(&request.settled(999), 90).wait().await.unwrap();
        assert_eq!(remaining(&keys[2]).await, Some(9));
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn charge_does_not_lock_out_for_longer_after_the_clock_of_the_server_was_set_back() {
    let redis = Redis::start().await;
    let quotas = QuotaSet::from(Quota::per_minute(6));
    assert!(is_admitted(&node(&redis).await, "alice", &quotas).await);
    let mut connection = redis.connection().await;
    let keys: Vec<String> = connection.keys("*").await.unwrap();
    // 30 seconds more than the burst tolerance, stored by a clock far ahead.
    let () = connection.set(&keys[0], "9000000000000000:30000000").await.unwrap();
    match take(&node(&redis).await, "alice", &quotas, 1).await {
        Decision::Refused(exceeded) => assert!(exceeded.wait <= seconds(40), "{exceeded:?}"),
        other => panic!("{other:?}"),
    }
}
