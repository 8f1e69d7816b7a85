//! Counts that several nodes share on a real Redis, which is killed, paused and started again under load.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use redis::AsyncCommands;
use tokio::time::sleep;
use tower_warden::{
    Eventual,
    layer::RateLimitLayer,
    rate_limit::{
        Decision, LimitBy, LimitExceeded, LimitKey, LimitRequest, LocalRateLimiter, OnOutage, Quota, QuotaSet,
        RateLimiter, RedisRateLimiter,
    },
    redis::RedisConnection,
};

use crate::{
    rate_limits::{Limited, from},
    redis_server::{PATIENCE, Redis},
    support::{request, seconds},
};

/// Far more than a decision takes, so that no test depends on the machine's speed.
const UNHURRIED: Duration = Duration::from_secs(30);

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// A name that no other test has.
fn name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};

    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn key(name: &str) -> LimitKey {
    let mut key = LimitKey::default();
    key.push("subject", name);
    key
}

async fn node(redis: &Redis) -> RedisRateLimiter {
    RedisRateLimiter::new(RedisConnection::connect(redis.client()).await.patience(UNHURRIED))
}

async fn take(limiter: &RedisRateLimiter, name: &str, plan: &QuotaSet, cost: u32) -> Decision {
    limiter.take(&LimitRequest::new(&key(name), plan).cost(number(cost))).wait().await.unwrap()
}

async fn is_admitted(limiter: &RedisRateLimiter, name: &str, plan: &QuotaSet) -> bool {
    !matches!(take(limiter, name, plan, 1).await, Decision::Refused(_))
}

async fn refusal(limiter: &RedisRateLimiter, name: &str, plan: &QuotaSet, cost: u32) -> LimitExceeded {
    match take(limiter, name, plan, cost).await {
        Decision::Refused(excess) => excess,
        other => panic!("{other:?}"),
    }
}

/// How many of so many requests at once are admitted.
async fn admitted_at_once(limiters: &[RedisRateLimiter], name: &str, plan: &QuotaSet, count: usize) -> usize {
    let tasks = (0..count).map(|index| {
        let (limiter, name, plan) = (limiters[index % limiters.len()].clone(), name.to_owned(), plan.clone());
        tokio::spawn(async move { is_admitted(&limiter, &name, &plan).await })
    });
    join_all(tasks).await.into_iter().filter(|admitted| *admitted.as_ref().unwrap()).count()
}

async fn until(mut holds: impl AsyncFnMut() -> bool, what: &str) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn redis_decides_as_a_local_limiter_does() {
    let redis = Redis::shared().await;
    let (far, near) = (node(&redis).await, LocalRateLimiter::default());
    // So slow that nothing comes back while the test runs.
    let plan = QuotaSet::new([Quota::per_day(20), Quota::per_day(31).burst(30).named("wider")]).unwrap();
    let mut random = 12_345_u32;
    for _ in 0..5 {
        let name = name();
        for _ in 0..30 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let cost = 1 + (random >> 16) % 9;
            let Eventual::Now(near) = near.take(&LimitRequest::new(&key(&name), &plan).cost(number(cost))) else {
                panic!()
            };
            match (take(&far, &name, &plan, cost).await, near.unwrap()) {
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
    assert!(matches!(take(&far, &all, &plan, u32::MAX).await, Decision::Admitted(_)));
    assert_eq!(refusal(&far, &all, &plan, u32::MAX).await.violated, [0, 1]);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn who_waits_as_long_as_told_is_admitted() {
    let redis = Redis::shared().await;
    let (limiter, name, plan) = (node(&redis).await, name(), QuotaSet::from(Quota::per_second(7).burst(3)));
    for _ in 0..3 {
        assert!(is_admitted(&limiter, &name, &plan).await);
    }
    for _ in 0..5 {
        // On a machine that has taken its time, there is a unit already.
        let Decision::Refused(excess) = take(&limiter, &name, &plan, 1).await else { continue };
        // (119): asking again does not make it longer.
        for _ in 0..10 {
            let Decision::Refused(again) = take(&limiter, &name, &plan, 1).await else { return };
            assert!(again.wait <= excess.wait);
        }
        sleep(excess.wait).await;
        assert!(is_admitted(&limiter, &name, &plan).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn two_nodes_at_once_admit_exactly_the_quota() {
    // (115)
    let redis = Redis::shared().await;
    let nodes = [node(&redis).await, node(&redis).await];
    let plan = QuotaSet::new([Quota::per_day(100), Quota::per_day(150).named("wider")]).unwrap();
    assert_eq!(admitted_at_once(&nodes, &name(), &plan, 1_000).await, 100);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_decision_is_one_round_trip_for_all_quotas() {
    let redis = Redis::start().await;
    let limiter = node(&redis).await;
    let quotas = (1..=8_u32).map(|n| Quota::new(&format!("q{n}"), number(100), seconds(60), number(100)).unwrap());
    let (plan, name) = (QuotaSet::new(quotas).unwrap(), name());
    // The first brings the script.
    assert!(is_admitted(&limiter, &name, &plan).await);
    let before = (redis.calls("evalsha").await, redis.calls("eval").await);
    for _ in 0..10 {
        assert!(is_admitted(&limiter, &name, &plan).await);
    }
    assert_eq!((redis.calls("evalsha").await, redis.calls("eval").await), (before.0 + 10, before.1));
    assert_eq!(limiter.counts().asked, 11);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_script_that_the_server_has_forgotten_is_brought_again() {
    let redis = Redis::start().await;
    let (limiter, name, plan) = (node(&redis).await, name(), QuotaSet::from(Quota::per_day(3)));
    for forget in ["none", "SCRIPT", "none"] {
        if forget == "SCRIPT" {
            let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut redis.connection().await).await.unwrap();
        }
        assert!(is_admitted(&limiter, &name, &plan).await);
    }
    assert!(!is_admitted(&limiter, &name, &plan).await);
    assert_eq!(limiter.counts().outage_local, 0);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn keys_are_digests_that_expire_and_share_a_slot() {
    // (118)
    let redis = Redis::start().await;
    let limiter = node(&redis).await;
    let plan = QuotaSet::new([Quota::per_minute(5), Quota::per_day(5).named("daily")]).unwrap();
    for odd in ["alice", "a:b", "a}{b", "a\nb\r\n*", &"x".repeat(1 << 20)] {
        assert!(is_admitted(&limiter, odd, &plan).await);
    }
    let mut connection = redis.connection().await;
    let keys: Vec<String> = connection.keys("*").await.unwrap();
    assert_eq!(keys.len(), 10);
    let mut slots = std::collections::HashMap::<String, usize>::new();
    for key in &keys {
        let rest = key.strip_prefix("tower-warden:limit:1:{").unwrap();
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
async fn what_was_used_is_forgotten_when_it_has_come_back() {
    let redis = Redis::start().await;
    let (limiter, plan) = (node(&redis).await, QuotaSet::from(Quota::per_second(20)));
    for _ in 0..5 {
        assert!(is_admitted(&limiter, "alice", &plan).await);
    }
    let mut connection = redis.connection().await;
    until(async || connection.keys::<_, Vec<String>>("*").await.unwrap().is_empty(), "the key expires").await;
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_clock_of_the_servers_that_was_set_locks_nobody_out_for_longer_than_the_burst() {
    // (116): to the script, a debt from a future that is not to come looks the same.
    let redis = Redis::start().await;
    let plan = QuotaSet::from(Quota::per_minute(6));
    assert!(is_admitted(&node(&redis).await, "alice", &plan).await);
    let mut connection = redis.connection().await;
    let keys: Vec<String> = connection.keys("*").await.unwrap();
    for (paid, waits) in [("9000000000000000", true), ("1000000000000", false), ("0", false)] {
        let () = connection.set(&keys[0], paid).await.unwrap();
        // A node that knows nothing yet.
        match take(&node(&redis).await, "alice", &plan, 1).await {
            Decision::Refused(excess) => assert!(waits && excess.wait <= seconds(10), "{excess:?}"),
            Decision::Admitted(standing) => assert!(!waits && standing.remaining == 5, "{standing:?}"),
            Decision::Uncounted => panic!("it is counted"),
        }
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_used_up_quota_is_refused_without_a_round_trip_until_there_is_a_unit() {
    let redis = Redis::start().await;
    let nodes = [node(&redis).await, node(&redis).await];
    let (plan, name) = (QuotaSet::from(Quota::per_minute(60).burst(2)), name());
    let start = Instant::now();
    for _ in 0..2 {
        assert!(is_admitted(&nodes[0], &name, &plan).await);
    }
    for node in &nodes {
        assert!(!is_admitted(node, &name, &plan).await);
    }
    let before = redis.calls("evalsha").await;
    let mut refused = 0;
    for _ in 0..500 {
        let answer = nodes[1].take(&LimitRequest::new(&key(&name), &plan));
        // Else the second is over.
        let Eventual::Now(Ok(Decision::Refused(excess))) = answer else { break };
        refused += 1;
        assert!(excess.wait <= seconds(1) && excess.wait > Duration::ZERO);
    }
    assert!(refused > 0 || start.elapsed() > seconds(1));
    assert_eq!(nodes[1].counts().known, refused);
    assert_eq!(redis.calls("evalsha").await, before);
    let Decision::Refused(LimitExceeded { wait, .. }) = take(&nodes[0], &name, &plan, 1).await else { return };
    sleep(wait).await;
    assert!(is_admitted(&nodes[0], &name, &plan).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn two_nodes_with_leases_admit_no_more_than_their_bound() {
    let redis = Redis::shared().await;
    let lifetime = Duration::from_millis(200);
    let nodes = [node(&redis).await.leased(number(50), lifetime), node(&redis).await.leased(number(50), lifetime)];
    let (plan, name) = (QuotaSet::from(Quota::per_second(1_000).burst(500)), name());
    let start = Instant::now();
    let mut admitted = 0;
    while start.elapsed() < seconds(1) {
        admitted += admitted_at_once(&nodes, &name, &plan, 400).await;
    }
    // The burst and what comes back meanwhile, and in one lifetime more.
    let bound = 500.0 + 1_000.0 * (start.elapsed() + lifetime).as_secs_f64();
    assert!(admitted >= 500 && (admitted as f64) <= bound, "{admitted} of {bound}");
    let counts = nodes.each_ref().map(RedisRateLimiter::counts);
    assert!(counts.iter().all(|counts| counts.leased > 0), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_hot_key_with_leases_costs_one_round_trip_for_each_slice() {
    let redis = Redis::start().await;
    let (plan, name) = (QuotaSet::from(Quota::per_day(1_000_000)), name());
    let leasing = node(&redis).await.leased(number(50), seconds(3_600));
    for _ in 0..1_000 {
        assert!(is_admitted(&leasing, &name, &plan).await);
    }
    assert_eq!((leasing.counts().asked, leasing.counts().leased), (20, 980));
    // At once, they wait for who fetches, and the next fetches for all who have waited.
    assert_eq!(admitted_at_once(std::slice::from_ref(&leasing), &name, &plan, 1_000).await, 1_000);
    let trips = leasing.counts().asked - 20;
    // How many do is the scheduler's matter: those who have waited in vain for three times go by themselves.
    assert!((1..500).contains(&trips), "{trips} round trips");
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_lease_is_spent_without_round_trips_and_what_is_left_at_its_end_is_lost() {
    let redis = Redis::start().await;
    let stopwatch = tower_warden::rate_limit::ManualStopwatch::default();
    let (plan, name) = (QuotaSet::from(Quota::per_day(25)), name());
    let leasing = node(&redis).await.leased(number(10), seconds(5)).stopwatch(stopwatch.clone());
    for left in (15..25).rev() {
        let Decision::Admitted(standing) = take(&leasing, &name, &plan, 1).await else { panic!("{left} are left") };
        assert_eq!(standing.remaining, left, "as many as Redis and the lease have");
    }
    assert_eq!((leasing.counts().asked, leasing.counts().leased), (1, 9));
    assert!(is_admitted(&leasing, &name, &plan).await);
    assert_eq!(leasing.counts().asked, 2);
    // Nine are leased still, five are in Redis.
    let exact = node(&redis).await;
    assert!(matches!(take(&exact, &name, &plan, 6).await, Decision::Refused(_)));
    stopwatch.advance(seconds(5));
    let rest = async || is_admitted(&leasing, &name, &plan).await;
    let mut count = 0;
    while rest().await {
        count += 1;
    }
    assert_eq!(count, 5, "a slice that is smaller than wanted");
    // What costs more than a lease has is fetched for itself.
    let (plan, name) = (QuotaSet::from(Quota::per_day(100)), crate::redis_limits::name());
    assert!(matches!(take(&leasing, &name, &plan, 60).await, Decision::Admitted(_)));
    assert!(matches!(take(&leasing, &name, &plan, 30).await, Decision::Admitted(_)));
    assert_eq!(refusal(&leasing, &name, &plan, 11).await.standing.remaining, 10);
}

/// What a node does while Redis is down.
#[derive(Clone, Copy)]
struct Case {
    on_outage: OnOutage,
    /// Of ten requests with a quota of four.
    passing: usize,
    refused_with: u16,
}

const CASES: [Case; 4] = [
    Case { on_outage: OnOutage::Admit, passing: 10, refused_with: 0 },
    Case { on_outage: OnOutage::Local { nodes: NonZeroU32::MIN }, passing: 4, refused_with: 429 },
    Case { on_outage: OnOutage::Local { nodes: NonZeroU32::new(2).unwrap() }, passing: 2, refused_with: 429 },
    Case { on_outage: OnOutage::Refuse, passing: 0, refused_with: 503 },
];

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_redis_that_is_down_is_what_the_node_was_told_to_make_of_it() {
    // (117)
    let redis = Redis::absent();
    for Case { on_outage, passing, refused_with } in CASES {
        let limiter = node(&redis).await.on_outage(on_outage);
        let app = Limited::of(RateLimitLayer::new(limiter.clone(), LimitBy::peer(), Quota::per_day(4)));
        let mut passed = 0;
        for _ in 0..10 {
            let answer = app.send(from(request(), "192.0.2.1")).await;
            if answer.status == 200 {
                passed += 1;
                assert_eq!(answer.header("ratelimit").is_some(), on_outage != OnOutage::Admit);
            } else {
                assert_eq!(answer.status.as_u16(), refused_with, "{on_outage:?}");
                assert!(answer.header("retry-after").is_some());
            }
        }
        assert_eq!(passed, passing, "{on_outage:?}");
        let counts = limiter.counts();
        let counted = [counts.outage_admitted, counts.outage_local, counts.outage_refused];
        let expected = match on_outage {
            OnOutage::Admit => [10, 0, 0],
            OnOutage::Refuse => [0, 0, 10],
            _ => [0, 10, 0],
        };
        assert_eq!((counted, counts.asked), (expected, 0));
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_node_starts_without_redis_and_counts_there_once_it_is_up() {
    let redis = Redis::absent();
    let limiter = node(&redis).await;
    let plan = QuotaSet::from(Quota::per_day(1_000_000));
    assert!(is_admitted(&limiter, "alice", &plan).await);
    assert_eq!(limiter.counts().outage_local, 1);
    redis.launch().await;
    until(async || is_admitted(&limiter, "alice", &plan).await && limiter.counts().asked > 0, "Redis is asked").await;
}

/// Sends requests all the while something is done, and tells the statuses.
async fn under_load(app: Arc<Limited>, work: impl Future<Output = ()>) -> Vec<u16> {
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load = (0..4).map(|_| {
        let (app, is_over) = (Arc::clone(&app), Arc::clone(&is_over));
        tokio::spawn(async move {
            let mut statuses = Vec::new();
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                statuses.push(app.send(from(request(), "192.0.2.1")).await.status.as_u16());
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
async fn a_redis_that_is_killed_paused_and_started_again_under_load_is_never_500() {
    // (117)
    let redis = Redis::start().await;
    let line = RedisConnection::connect(redis.client()).await.patience(Duration::from_millis(200));
    let limiter = RedisRateLimiter::new(line.clone());
    let app = Limited::of(RateLimitLayer::new(limiter.clone(), LimitBy::peer(), Quota::per_second(1_000_000)));
    let counts = || limiter.counts();
    let goes_on = async |counter: &dyn Fn() -> u64, what| {
        let before = counter();
        until(async || counter() > before + 10, what).await;
    };
    let statuses = under_load(Arc::new(app), async {
        goes_on(&|| counts().asked, "Redis decides").await;
        redis.kill();
        until(async || !line.is_up(), "the line is down after a kill").await;
        goes_on(&|| counts().outage_local, "the node decides").await;
        redis.launch().await;
        until(async || line.is_up(), "the line is up after a start").await;
        goes_on(&|| counts().asked, "Redis decides again").await;
        redis.pause();
        until(async || !line.is_up(), "the line is down in a pause").await;
        goes_on(&|| counts().outage_local, "the node decides in a pause").await;
        redis.resume();
        until(async || line.is_up(), "the line is up after a pause").await;
        goes_on(&|| counts().asked, "Redis decides after a pause").await;
    })
    .await;
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn nobody_waits_for_a_redis_that_is_known_to_be_silent() {
    // (117)
    let redis = Redis::start().await;
    let line = RedisConnection::connect(redis.client()).await.patience(Duration::from_millis(50));
    let limiter = RedisRateLimiter::new(line.clone());
    let plan = QuotaSet::from(Quota::per_day(1_000_000));
    until(async || is_admitted(&limiter, "alice", &plan).await && limiter.counts().asked > 0, "Redis is asked").await;
    redis.pause();
    let mut waited = 0;
    while line.is_up() {
        assert!(is_admitted(&limiter, "alice", &plan).await, "a slow one is decided by the node");
        waited += 1;
    }
    assert!(waited <= 3, "{waited} requests waited");
    for _ in 0..100 {
        let decision = limiter.take(&LimitRequest::new(&key("alice"), &plan));
        assert!(matches!(decision, Eventual::Now(Ok(Decision::Admitted(_)))));
    }
    redis.resume();
    until(async || line.is_up(), "the line is up again").await;
}

#[test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
fn a_line_outlives_the_runtime_it_was_made_on() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let plan = QuotaSet::from(Quota::per_day(1_000));
    let (redis, limiter) = runtime().block_on(async {
        let redis = Redis::start().await;
        let limiter = node(&redis).await;
        assert!(is_admitted(&limiter, "alice", &plan).await);
        (redis, limiter)
    });
    runtime().block_on(async {
        let again = async || is_admitted(&limiter, "alice", &plan).await && limiter.counts().asked > 1;
        until(again, "Redis is asked on another runtime").await;
    });
    drop(redis);
}
