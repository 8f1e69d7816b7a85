//! The decisions of limiters, compared with a naive model and with the guarantees.

use std::{collections::HashMap, num::NonZeroU32, panic::catch_unwind, time::Duration};

use proptest::{collection::vec, prelude::*};
use tower_warden::{
    ConfigErrorKind, Eventual,
    rate_limit::{
        Decision, LimitExceeded, LimitKey, LimitRequest, LimitSecret, LimitStatus, LocalRateLimiter, ManualStopwatch,
        Quota, QuotaSet, RateLimiter,
        shared::{ExhaustedKeys, LimitState},
    },
};

use crate::support::seconds;

/// A limiter, and the time it sees.
struct Bench {
    limiter: LocalRateLimiter,
    stopwatch: ManualStopwatch,
}

impl Bench {
    fn new(bound: usize) -> Self {
        let stopwatch = ManualStopwatch::default();
        Self { limiter: LocalRateLimiter::bounded(bound).stopwatch(stopwatch.clone()), stopwatch }
    }

    fn take(&self, name: &str, plan: &QuotaSet, cost: u32) -> Decision {
        match self.limiter.take(&LimitRequest::new(&key(name), plan).cost(NonZeroU32::new(cost).unwrap())) {
            Eventual::Now(decision) => decision.unwrap(),
            Eventual::Later(_) => unreachable!("a local limiter decides at once"),
        }
    }

    fn is_admitted(&self, name: &str, plan: &QuotaSet) -> bool {
        matches!(self.take(name, plan, 1), Decision::Admitted(_))
    }

    fn refusal(&self, name: &str, plan: &QuotaSet, cost: u32) -> LimitExceeded {
        match self.take(name, plan, cost) {
            Decision::Refused(exceeded) => exceeded,
            other => panic!("{other:?}"),
        }
    }
}

fn key(name: &str) -> LimitKey {
    let mut key = LimitKey::default();
    key.push("subject", name);
    key
}

fn quota(count: u32, period: u64, burst: u32) -> Quota {
    let number = |number| NonZeroU32::new(number).unwrap();
    Quota::new("quota", number(count), seconds(period), number(burst)).unwrap()
}

#[test]
fn the_burst_is_available_at_once_and_refills_evenly() {
    let (bench, plan) = (Bench::new(100), QuotaSet::from(Quota::per_second(10).burst(5)));
    for left in (0..5).rev() {
        let Decision::Admitted(standing) = bench.take("alice", &plan, 1) else { panic!("{left} are left") };
        assert_eq!(standing.remaining, left);
    }
    let exceeded = bench.refusal("alice", &plan, 1);
    assert_eq!(exceeded.wait, Duration::from_millis(100));
    bench.stopwatch.advance(Duration::from_nanos(99_999_999));
    assert!(!bench.is_admitted("alice", &plan));
    bench.stopwatch.advance(Duration::from_nanos(1));
    assert!(bench.is_admitted("alice", &plan) && !bench.is_admitted("alice", &plan));
    bench.stopwatch.advance(seconds(3_600));
    assert_eq!((0..10).filter(|_| bench.is_admitted("alice", &plan)).count(), 5);
}

#[test]
fn a_request_takes_from_all_quotas_or_from_none() {
    let plan = QuotaSet::new([Quota::per_second(2), Quota::per_day(3).named("daily")]).unwrap();
    let bench = Bench::new(100);
    assert!(bench.is_admitted("alice", &plan) && bench.is_admitted("alice", &plan));
    for _ in 0..10 {
        // Refused by the first quota, and not taken from the second.
        assert_eq!(bench.refusal("alice", &plan, 1).violated, [0]);
    }
    bench.stopwatch.advance(seconds(1));
    assert!(bench.is_admitted("alice", &plan));
    let exceeded = bench.refusal("alice", &plan, 1);
    assert_eq!((exceeded.violated, exceeded.status.quota), (vec![1], 1));
    // Refused by the second quota, and not taken from the first.
    let first = QuotaSet::from(Quota::per_second(2));
    assert!(bench.is_admitted("alice", &first) && !bench.is_admitted("alice", &first));
    let both = bench.refusal("alice", &plan, 1);
    assert_eq!((both.violated, both.status.quota), (vec![0, 1], 1), "the longer wait is reported");
}

#[test]
fn the_tightest_of_several_quotas_is_reported() {
    let plan = QuotaSet::new([Quota::per_second(3), Quota::per_hour(5)]).unwrap();
    let bench = Bench::new(100);
    let standing = || match bench.take("alice", &plan, 1) {
        Decision::Admitted(standing) => (standing.quota, standing.remaining),
        other => panic!("{other:?}"),
    };
    assert_eq!((standing(), standing()), ((0, 2), (0, 1)));
    bench.stopwatch.advance(seconds(1));
    // Both have the same number of units left; the hour needs longer.
    assert_eq!((standing(), standing()), ((1, 2), (1, 1)));
    bench.stopwatch.advance(seconds(1));
    assert_eq!(standing(), (1, 0));
}

#[test]
fn refused_requests_do_not_extend_the_penalty() {
    // (119)
    let (bench, plan) = (Bench::new(100), QuotaSet::from(Quota::per_minute(1)));
    assert!(bench.is_admitted("alice", &plan));
    for second in 0..60 {
        assert_eq!(bench.refusal("alice", &plan, 1).wait, seconds(60 - second));
        bench.stopwatch.advance(seconds(1));
    }
    assert!(bench.is_admitted("alice", &plan));
}

#[test]
fn a_cost_above_the_burst_is_the_burst_and_overflows_nothing() {
    // (120)
    let plan = QuotaSet::from(Quota::per_second(10));
    for cost in [11, 1_000, u32::MAX] {
        let bench = Bench::new(100);
        assert_eq!(bench.take("alice", &plan, cost), bench.take("bob", &plan, 10));
        assert_eq!(bench.refusal("alice", &plan, u32::MAX).wait, seconds(1));
        bench.stopwatch.advance(seconds(1));
        assert!(matches!(bench.take("alice", &plan, cost), Decision::Admitted(_)));
    }
    let widest = QuotaSet::from(quota(u32::MAX, 1, u32::MAX));
    assert!(matches!(Bench::new(100).take("alice", &widest, u32::MAX), Decision::Admitted(_)));
    let bench = Bench::new(100);
    bench.stopwatch.advance(Duration::from_nanos(u64::MAX - 1));
    assert!(bench.is_admitted("alice", &QuotaSet::from(Quota::per_day(1))));
}

#[test]
fn quotas_of_zero_units_or_unlimited_size_are_refused() {
    // (120)
    for quota in [Quota::per_second, Quota::per_minute, Quota::per_hour, Quota::per_day] {
        assert!(catch_unwind(|| quota(0)).is_err());
        assert!(catch_unwind(|| quota(1).burst(0)).is_err());
    }
    assert!(catch_unwind(|| Quota::per_day(1).burst(u32::MAX)).is_err());
    for name in ["", "a b", "a\"", "a\\", "ä", "a\n", &"x".repeat(65)] {
        let made = Quota::new(name, NonZeroU32::MIN, seconds(1), NonZeroU32::MIN);
        assert_eq!(made.unwrap_err().kind(), ConfigErrorKind::Quota, "{name:?}");
    }
    assert!(catch_unwind(|| Quota::per_second(1).named("a b")).is_err());
    for period in [seconds(0), Duration::from_millis(1_500), seconds(10_000_000_000), Duration::MAX] {
        assert!(Quota::new("a", NonZeroU32::MAX, period, NonZeroU32::MIN).is_err(), "{period:?}");
    }
    assert!(Quota::new("a", NonZeroU32::MIN, seconds(86_400), NonZeroU32::MAX).is_err());
    let of = |count: usize| {
        QuotaSet::new((0..count).map(|number| {
            Quota::new(&format!("quota-{number}"), NonZeroU32::MIN, seconds(1), NonZeroU32::MIN).unwrap()
        }))
    };
    assert!(of(0).is_err() && of(9).is_err() && of(1).is_ok());
    assert_eq!(of(8).unwrap().quotas().len(), 8);
}

#[test]
fn keys_with_the_same_concatenated_parts_are_distinct() {
    // (118)
    let odd = ["", ":", "a", "a:b", "a\nb", "a\0", "subject", "7subject", "\u{7f}", &"x".repeat(253), &"x".repeat(255)];
    let long = ["x".repeat(1 << 20), "x".repeat((1 << 20) - 1), format!("{}y", "x".repeat((1 << 20) - 1))];
    let parts: Vec<&str> = odd.into_iter().chain(long.iter().map(String::as_str)).collect();
    let mut keys = Vec::new();
    for kind in ["subject", "subjec", "tenant"] {
        for part in &parts {
            let mut key = LimitKey::default();
            key.push(kind, part);
            keys.push(key.clone());
            key.push(kind, "a");
            keys.push(key);
        }
    }
    // Without their lengths, both would be "subjecta" or "subjectalice".
    for (kind, part) in [("subjec", "ta"), ("subjec", "talice"), ("subject", "alice"), ("", "subjecta")] {
        let mut key = LimitKey::default();
        key.push(kind, part);
        keys.push(key);
    }
    let secret = LimitSecret::new([7; 32]).unwrap();
    let (bench, plan) = (Bench::new(10_000), QuotaSet::from(Quota::per_day(1)));
    for key in &keys {
        let Eventual::Now(Ok(decision)) = bench.limiter.take(&LimitRequest::new(key, &plan)) else {
            panic!("it answers")
        };
        assert!(matches!(decision, Decision::Admitted(_)));
        assert_eq!(keys.iter().filter(|other| *other == key).count(), 1);
        assert_eq!(keys.iter().filter(|other| other.digest(&secret) == key.digest(&secret)).count(), 1);
    }
}

#[test]
fn a_flood_of_keys_neither_grows_the_table_nor_frees_an_exhausted_one() {
    // (114)
    let (bench, plan) = (Bench::new(8_192), QuotaSet::from(Quota::per_hour(3)));
    let exhausted: Vec<_> = (0..200).map(|number| format!("exhausted-{number}")).collect();
    for name in &exhausted {
        while bench.is_admitted(name, &plan) {}
    }
    let refused = (0..300_000).filter(|number| !bench.is_admitted(&format!("flood-{number}"), &plan)).count();
    assert_eq!(refused, 0, "new keys still find room");
    for name in &exhausted {
        assert!(!bench.is_admitted(name, &plan), "{name} was forgotten");
    }
    bench.stopwatch.advance(seconds(3_600 / 3));
    assert!(exhausted.iter().all(|name| bench.is_admitted(name, &plan)));
    assert!(format!("{:?}", bench.limiter).contains("capacity: 8192"));
}

#[test]
fn a_new_key_waits_for_the_first_unit_in_a_table_full_of_exhausted_keys() {
    // (114)
    let (bench, plan) = (Bench::new(8), QuotaSet::from(Quota::per_minute(1)));
    for number in 0..8 {
        assert!(bench.is_admitted(&format!("exhausted-{number}"), &plan));
        bench.stopwatch.advance(seconds(1));
    }
    let exceeded = bench.refusal("new", &plan, 1);
    assert_eq!((exceeded.wait, exceeded.violated), (seconds(52), vec![0]));
    bench.stopwatch.advance(exceeded.wait);
    assert!(bench.is_admitted("new", &plan));
    assert!(!bench.is_admitted("exhausted-1", &plan), "the other keys are still stored");
}

#[test]
fn the_key_that_has_used_the_least_is_replaced_first() {
    let (bench, plan) = (Bench::new(8), QuotaSet::from(Quota::per_hour(10)));
    for (number, used) in [(0, 9), (1, 2), (2, 9), (3, 9), (4, 9), (5, 9), (6, 9), (7, 9)] {
        for _ in 0..used {
            assert!(bench.is_admitted(&number.to_string(), &plan));
        }
    }
    assert!(bench.is_admitted("new", &plan));
    for number in [0, 2, 3, 4, 5, 6, 7] {
        assert!(bench.is_admitted(&number.to_string(), &plan) && !bench.is_admitted(&number.to_string(), &plan));
    }
}

#[test]
fn a_quota_does_not_replace_the_used_up_one_of_the_same_request() {
    let (bench, once) = (Bench::new(8), QuotaSet::from(Quota::per_day(1)));
    for number in 0..7 {
        assert!(bench.is_admitted(&format!("exhausted-{number}"), &once));
    }
    let daily = Quota::per_day(1_000);
    assert!(bench.is_admitted("alice", &QuotaSet::from(daily.clone())));
    // The hourly quota takes the only place that can be replaced: that of the daily one, which was found there before.
    let both = QuotaSet::new([Quota::per_hour(1), daily]).unwrap();
    assert!(bench.is_admitted("alice", &both));
    let exceeded = bench.refusal("alice", &both, 1);
    assert_eq!((exceeded.wait, exceeded.violated), (seconds(3_600), vec![0, 1]));
    for number in 0..7 {
        assert!(!bench.is_admitted(&format!("exhausted-{number}"), &once));
    }
}

#[test]
fn concurrent_threads_are_admitted_exactly_the_burst() {
    let (bench, plan) = (Bench::new(1_000), QuotaSet::new([Quota::per_day(1_000), Quota::per_hour(1_500)]).unwrap());
    let admitted: usize = std::thread::scope(|scope| {
        let run = || (0..500).filter(|_| bench.is_admitted("alice", &plan)).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 1_000);
}

#[test]
fn ids_of_quotas_depend_on_all_of_their_values_and_are_stable() {
    let id = |quota: Quota| LimitRequest::new(&LimitKey::default(), &QuotaSet::from(quota)).ids().next().unwrap();
    let quotas = [quota(1, 1, 1), quota(2, 1, 1), quota(1, 2, 1), quota(1, 1, 2), Quota::per_second(1)];
    for (index, quota) in quotas.iter().enumerate() {
        assert_eq!(quotas.iter().position(|other| id(other.clone()) == id(quota.clone())), Some(index));
    }
    // A store of an earlier version is read with the same ids.
    assert_eq!(id(Quota::per_minute(60)), 0xac82_87f0_9cab_2190);
}

#[test]
fn the_share_of_a_node_is_a_part_of_rate_and_burst_and_at_least_one_unit() {
    let (bench, nodes) = (Bench::new(100), NonZeroU32::new(4).unwrap());
    let admitted = |name: &str, quotas: &QuotaSet| {
        let key = key(name);
        let take = || bench.limiter.take_share(&LimitRequest::new(&key, quotas), nodes);
        (0..100).filter(|_| matches!(take(), Decision::Admitted(_))).count()
    };
    let (large, small) = (QuotaSet::from(Quota::per_minute(40)), QuotaSet::from(Quota::per_minute(2)));
    assert_eq!((admitted("alice", &large), admitted("alice", &small)), (10, 1));
    bench.stopwatch.advance(seconds(60));
    assert_eq!((admitted("alice", &large), admitted("alice", &small)), (10, 0));
    bench.stopwatch.advance(seconds(60));
    assert_eq!(admitted("alice", &small), 1, "one unit per 30 seconds, on one of four nodes");
}

#[test]
fn the_share_of_a_node_is_rounded_down() {
    let (bench, nodes) = (Bench::new(100), NonZeroU32::new(4).unwrap());
    for (quota, share) in [(7, 1), (8, 2), (11, 2), (42, 10), (43, 10)] {
        let (key, quotas) = (key(&format!("{quota}")), QuotaSet::from(Quota::per_minute(quota)));
        let take = || bench.limiter.take_share(&LimitRequest::new(&key, &quotas), nodes);
        assert_eq!((0..100).filter(|_| matches!(take(), Decision::Admitted(_))).count(), share, "{quota}");
        // Four nodes admit no more than the quota in any minute after that either.
        let mut admitted = 0;
        for _ in 0..60 {
            bench.stopwatch.advance(seconds(1));
            admitted += (0..10).filter(|_| matches!(take(), Decision::Admitted(_))).count();
        }
        assert!(4 * admitted <= usize::try_from(quota).unwrap(), "{quota}: {admitted} on each of four nodes");
    }
}

#[test]
fn digest_of_a_key_depends_on_the_secret_the_limit_and_the_parts() {
    let (one, other) = (LimitSecret::new([1; 32]).unwrap(), LimitSecret::new([2; 32]).unwrap());
    let key = |limit: &str, peer: &str| {
        let mut key = LimitKey::of_limit(limit);
        key.push("ipv4", peer);
        key
    };
    let digests = [
        key("a", "x").digest(&one),
        key("a", "x").digest(&other),
        key("b", "x").digest(&one),
        key("a", "y").digest(&one),
        key("a", &"z".repeat(1_000)).digest(&one),
        key("b", &"z".repeat(1_000)).digest(&one),
        tower_warden::Digest::of(b"\x04ipv4\x01x"),
    ];
    for (index, digest) in digests.iter().enumerate() {
        assert_eq!(digests.iter().position(|each| each == digest), Some(index));
    }
    assert_eq!(key("a", "x").digest(&one), key("a", "x").digest(&one));
    for short in [&b""[..], &[9; 31]] {
        assert_eq!(LimitSecret::new(short).unwrap_err().kind(), ConfigErrorKind::LimitSecret);
    }
    assert!(!format!("{:?} {:?}", LimitSecret::new([65; 32]), one).contains("65"));
}

#[test]
fn a_state_far_in_the_future_locks_out_for_the_burst_at_most() {
    let (key, quotas) = (key("alice"), QuotaSet::from(Quota::per_minute(6)));
    let state = LimitState::new(&LimitRequest::new(&key, &quotas), [Duration::MAX]);
    let exceeded = state.exceeded().unwrap();
    assert_eq!((exceeded.wait, exceeded.status.remaining), (seconds(10), 0));
    assert_eq!(state.status().remaining, 0);
}

#[test]
fn a_state_rounds_emission_intervals_up_to_the_resolution_of_the_store() {
    let (key, quota) = (key("alice"), Quota::per_second(3));
    assert_eq!(quota.emission_interval(), Duration::from_nanos(333_333_334));
    assert_eq!(quota.emission_interval_at(Duration::from_millis(1)), Duration::from_millis(334));
    let quotas = QuotaSet::from(quota);
    let request = LimitRequest::new(&key, &quotas);
    let mut state = LimitState::new(&request, []).with_resolution(Duration::from_millis(1));
    assert!(matches!(state.take(), Decision::Admitted(_)));
    assert_eq!(state.until_tats().collect::<Vec<_>>(), [Duration::from_millis(334)]);
    // Resolutions that no clock has do not overflow.
    for resolution in [Duration::ZERO, seconds(86_400 * 366 * 100), Duration::MAX] {
        let mut state = LimitState::new(&request, []).with_resolution(resolution);
        assert!(matches!(state.take(), Decision::Admitted(_)), "{resolution:?}");
    }
}

#[test]
fn exhausted_keys_are_refused_until_a_unit_is_available_and_others_are_not() {
    let (alice, bob, exhausted) = (key("alice"), key("bob"), ExhaustedKeys::bounded(1_000));
    let quotas = QuotaSet::new([Quota::per_second(10).burst(2), Quota::per_day(100)]).unwrap();
    let request = LimitRequest::new(&alice, &quotas);
    let mut state = LimitState::new(&request, []);
    let mut elapsed = seconds(5);
    for is_known in [false, true] {
        assert!(matches!(state.take(), Decision::Admitted(_)));
        exhausted.record(&state, elapsed);
        assert_eq!(exhausted.state(&request, elapsed).exceeded().is_some(), is_known);
    }
    assert!(exhausted.state(&LimitRequest::new(&bob, &quotas), elapsed).exceeded().is_none());
    let exceeded = exhausted.state(&request, elapsed).exceeded().unwrap();
    assert_eq!((exceeded.violated, exceeded.wait), (vec![0], Duration::from_millis(100)));
    elapsed += exceeded.wait - Duration::from_nanos(1);
    assert!(exhausted.state(&request, elapsed).exceeded().is_some());
    elapsed += Duration::from_nanos(1);
    assert!(exhausted.state(&request, elapsed).exceeded().is_none());
}

#[test]
fn wait_of_an_exhausted_key_is_long_enough_for_all_quotas_of_an_expensive_request() {
    let (alice, exhausted) = (key("alice"), ExhaustedKeys::bounded(1_000));
    let quotas =
        QuotaSet::new([Quota::per_second(20).burst(4), Quota::per_second(25).burst(12).named("wide")]).unwrap();
    let request = |cost| LimitRequest::new(&alice, &quotas).cost(NonZeroU32::new(cost).unwrap());
    let mut state = LimitState::new(&request(7), []);
    assert!(matches!(state.take(), Decision::Admitted(_)));
    exhausted.record(&state, seconds(5));
    // Four units of the first quota need 200 ms, and two of the second one 80 ms.
    let known = |cost, elapsed| exhausted.state(&request(cost), elapsed).exceeded().unwrap();
    let exceeded = known(7, seconds(5));
    assert_eq!((exceeded.violated, exceeded.wait), (vec![0, 1], Duration::from_millis(200)));
    let exceeded = known(12, seconds(5));
    assert_eq!((exceeded.violated, exceeded.wait), (vec![0, 1], Duration::from_millis(280)));
}

#[test]
fn wait_of_a_key_that_was_exhausted_includes_what_was_taken_since() {
    let (alice, exhausted) = (key("alice"), ExhaustedKeys::bounded(1_000));
    let quotas = QuotaSet::from(Quota::per_second(10).burst(5));
    let request = |cost| LimitRequest::new(&alice, &quotas).cost(NonZeroU32::new(cost).unwrap());
    let record = |until_tat, elapsed| {
        exhausted.record(&LimitState::new(&request(1), [Duration::from_millis(until_tat)]), elapsed);
    };
    record(500, seconds(5));
    // Two units have come back, and one was taken.
    let later = seconds(5) + Duration::from_millis(200);
    record(400, later);
    let wait = || exhausted.state(&request(5), later).exceeded().unwrap().wait;
    assert_eq!(wait(), Duration::from_millis(400));
    // An earlier answer that arrives late.
    record(300, later);
    assert_eq!(wait(), Duration::from_millis(400));
}

/// A step of a history.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Take { key: u8, cost: u32 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![0..2_000_000_000_u64, Just(0), Just(1), Just(1_000_000_000)].prop_map(Step::Wait);
    let take = (0..4_u8, prop_oneof![Just(1), 1..12_u32]).prop_map(|(key, cost)| Step::Take { key, cost });
    vec(prop_oneof![1 => wait, 3 => take], 1..200)
}

fn quotas() -> impl Strategy<Value = Quota> {
    (1..20_u32, prop_oneof![Just(1), Just(60), 1..100_u64], 1..30_u32)
        .prop_map(|(count, period, burst)| quota(count, period, burst))
}

/// A naive token bucket, in whole nanoseconds.
struct Naive {
    quota: Quota,
    /// The level of each key in nanoseconds, and the time at which it was computed.
    buckets: HashMap<u8, (u128, u128)>,
}

impl Naive {
    fn take(&mut self, key: u8, cost: u32, now: u128) -> Option<u128> {
        let interval = self.quota.emission_interval().as_nanos();
        let burst = interval * u128::from(self.quota.burst_size().get());
        let (there, since) = self.buckets.get(&key).copied().unwrap_or((burst, 0));
        let there = burst.min(there + (now - since));
        let price = burst.min(interval * u128::from(cost));
        match there.checked_sub(price) {
            Some(left) => {
                self.buckets.insert(key, (left, now));
                None
            }
            None => Some(price - there),
        }
    }
}

proptest! {
    #![proptest_config(crate::support::cases(256))]

    #[test]
    fn a_local_limiter_decides_as_a_naive_one(quota in quotas(), steps in steps()) {
        let (bench, plan) = (Bench::new(1_000), QuotaSet::from(quota.clone()));
        let (mut naive, mut now) = (Naive { quota, buckets: HashMap::new() }, 0);
        for step in steps {
            match step {
                Step::Wait(nanoseconds) => {
                    bench.stopwatch.advance(Duration::from_nanos(nanoseconds));
                    now += u128::from(nanoseconds);
                }
                Step::Take { key, cost } => {
                    let wait = match bench.take(&key.to_string(), &plan, cost) {
                        Decision::Admitted(_) => None,
                        Decision::Refused(exceeded) => Some(exceeded.wait.as_nanos()),
                        other => unreachable!("every request is counted: {other:?}"),
                    };
                    prop_assert_eq!(wait, naive.take(key, cost, now));
                }
            }
        }
    }

    #[test]
    fn a_limiter_of_stored_states_decides_as_a_local_one(quotas in (quotas(), quotas()), steps in steps()) {
        let (count, period, burst) = (quotas.1.count(), quotas.1.period(), quotas.1.burst_size());
        let second = Quota::new("other", count, period, burst).unwrap();
        let (bench, quotas) = (Bench::new(1_000), QuotaSet::new([quotas.0, second]).unwrap());
        // TATs by the clock of a store that has run for an hour.
        let (mut stored, mut now) = (HashMap::<u8, Vec<Duration>>::new(), seconds(3_600));
        for step in steps {
            match step {
                Step::Wait(nanoseconds) => {
                    bench.stopwatch.advance(Duration::from_nanos(nanoseconds));
                    now += Duration::from_nanos(nanoseconds);
                }
                Step::Take { key: number, cost } => {
                    let key = key(&number.to_string());
                    let request = LimitRequest::new(&key, &quotas).cost(NonZeroU32::new(cost).unwrap());
                    let tats = stored.get(&number).cloned().unwrap_or_default();
                    let mut state = LimitState::new(&request, tats.into_iter().map(|tat| tat.saturating_sub(now)));
                    prop_assert_eq!(state.take(), bench.take(&number.to_string(), &quotas, cost));
                    stored.insert(number, state.until_tats().map(|until_tat| now + until_tat).collect());
                }
            }
        }
    }

    #[test]
    fn no_window_admits_more_than_the_burst_and_the_refilled_units(quota in quotas(), steps in steps()) {
        let (bench, plan) = (Bench::new(1_000), QuotaSet::from(quota.clone()));
        let (mut admitted, mut now) = (Vec::new(), 0_u64);
        for step in steps {
            match step {
                Step::Wait(nanoseconds) => {
                    bench.stopwatch.advance(Duration::from_nanos(nanoseconds));
                    now += nanoseconds;
                }
                Step::Take { cost, .. } => {
                    if let Decision::Admitted(_) = bench.take("alice", &plan, cost) {
                        admitted.push((now, u64::from(cost.min(quota.burst_size().get()))));
                    }
                }
            }
        }
        for (first, (start, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for (end, cost) in &admitted[first..] {
                sum += cost;
                // burst + rate × time, without a division.
                let period = quota.period().as_nanos();
                let back = u128::from(quota.count().get()) * u128::from(end - start);
                prop_assert!(u128::from(sum) * period <= u128::from(quota.burst_size().get()) * period + back);
            }
        }
    }

    #[test]
    fn a_client_that_waits_for_the_reported_time_is_admitted_and_one_that_waits_less_is_not(
        quotas in (quotas(), quotas()), steps in steps(), cost in 1..12_u32,
    ) {
        let (count, period, burst) = (quotas.1.count(), quotas.1.period(), quotas.1.burst_size());
        let second = Quota::new("other", count, period, burst).unwrap();
        let (bench, plan) = (Bench::new(1_000), QuotaSet::new([quotas.0, second]).unwrap());
        for step in steps {
            match step {
                Step::Wait(nanoseconds) => bench.stopwatch.advance(Duration::from_nanos(nanoseconds)),
                Step::Take { key, cost } => drop(bench.take(&key.to_string(), &plan, cost)),
            }
        }
        if let Decision::Refused(exceeded) = bench.take("0", &plan, cost) {
            bench.stopwatch.advance(exceeded.wait - Duration::from_nanos(1));
            prop_assert!(matches!(bench.take("0", &plan, cost), Decision::Refused(_)));
            bench.stopwatch.advance(Duration::from_nanos(1));
            prop_assert!(matches!(bench.take("0", &plan, cost), Decision::Admitted(_)));
        }
    }

    #[test]
    fn the_remaining_units_can_be_used_at_once_and_no_more(quota in quotas(), steps in steps()) {
        let (bench, plan) = (Bench::new(1_000), QuotaSet::from(quota));
        for step in steps {
            match step {
                Step::Wait(nanoseconds) => bench.stopwatch.advance(Duration::from_nanos(nanoseconds)),
                Step::Take { key, cost } => drop(bench.take(&key.to_string(), &plan, cost)),
            }
        }
        let remaining = match bench.take("0", &plan, 1) {
            Decision::Admitted(LimitStatus { remaining, .. }) => remaining,
            Decision::Refused(exceeded) => exceeded.status.remaining,
            other => unreachable!("every request is counted: {other:?}"),
        };
        prop_assert_eq!((0..=remaining).filter(|_| bench.is_admitted("0", &plan)).count(), remaining as usize);
    }
}
