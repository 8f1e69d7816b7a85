//! Sequences of requests under limits, compared with what was admitted before.

use std::{collections::HashMap, iter, num::NonZeroU32, sync::LazyLock, time::Duration};

use tower_warden::{
    Eventual, UnixTime,
    rate_limit::{Decision, LimitKey, LimitRequest, LocalRateLimiter, ManualStopwatch, Quota, QuotaSet, RateLimiter},
};

use crate::support::START;

/// Quotas that apply together, and the units that each admits in one period if it is a hard limit.
struct Plan {
    quotas: QuotaSet,
    limits: Vec<Option<u32>>,
}

static PLANS: LazyLock<[Plan; 5]> = LazyLock::new(|| {
    let minute = Quota::per_minute(20).sliding().named("minute");
    let hour = Quota::per_hour(30).burst(2).sliding().named("hour");
    let plan = |quotas: &[(Quota, Option<u32>)]| Plan {
        quotas: QuotaSet::new(quotas.iter().map(|(quota, _)| quota.clone())).unwrap(),
        limits: quotas.iter().map(|(_, limit)| *limit).collect(),
    };
    [
        plan(&[(Quota::per_second(3).burst(5), None)]),
        plan(&[(Quota::per_minute(7).sliding(), Some(7))]),
        plan(&[(Quota::per_hour(10).fixed_window(), Some(10))]),
        plan(&[(Quota::per_second(2).burst(9), None), (minute, Some(20))]),
        plan(&[(Quota::per_minute(4).fixed_window(), Some(4)), (hour, Some(30))]),
    ]
});

/// A limiter, the time since the start, and what was admitted under each plan and key.
struct Bench {
    limiter: LocalRateLimiter,
    stopwatch: ManualStopwatch,
    elapsed: Duration,
    admitted: HashMap<(usize, u8), Vec<(Duration, u32)>>,
}

/// Requests of three bytes each: the plan and the key, the time since the last request, and the cost.
pub fn run(input: &[u8]) -> bool {
    let stopwatch = ManualStopwatch::default();
    let limiter = LocalRateLimiter::bounded(1_000).stopwatch(stopwatch.clone());
    let mut bench = Bench { limiter, stopwatch, elapsed: Duration::ZERO, admitted: HashMap::new() };
    for request in input.chunks_exact(3).take(200) {
        let (plan, key) = (usize::from(request[0]) % PLANS.len(), request[0] / 128);
        bench.advance(match request[1] {
            short @ 0..128 => Duration::from_millis(u64::from(short) * 37),
            long => Duration::from_secs(u64::from(long - 127) * 61),
        });
        if let Some(wait) = bench.take(plan, key, request[2]) {
            assert!(wait > Duration::ZERO);
            if request[2] >= 128 {
                bench.advance(wait);
                assert_eq!(bench.take(plan, key, request[2]), None, "a request after the wait is admitted");
            }
        }
    }
    !bench.admitted.is_empty()
}

impl Bench {
    fn advance(&mut self, time: Duration) {
        self.stopwatch.advance(time);
        self.elapsed += time;
    }

    /// The time to wait for, if the request is refused.
    fn take(&mut self, plan: usize, name: u8, cost: u8) -> Option<Duration> {
        let Plan { quotas, limits } = &PLANS[plan];
        let mut key = LimitKey::default();
        key.push("name", name.to_string());
        let least = quotas.quotas().map(|quota| quota.burst_size().get()).min().unwrap();
        let cost = NonZeroU32::new(u32::from(cost) % least + 1).unwrap();
        let now = UnixTime::from_secs(START.as_secs() + self.elapsed.as_secs());
        let request = LimitRequest::new(&key, quotas).cost(cost).at(now);
        let Eventual::Now(decision) = self.limiter.take(&request) else { unreachable!("it waits for nothing") };
        match decision.unwrap() {
            Decision::Admitted(_) => {
                let admitted = self.admitted.entry((plan, name)).or_default();
                admitted.push((self.elapsed, cost.get()));
                iter::zip(quotas.quotas(), limits).for_each(|(quota, limit)| check(quota, *limit, admitted));
                None
            }
            Decision::Refused(exceeded) => Some(exceeded.wait),
            other => panic!("{other:?}"),
        }
    }
}

/// Checks all intervals that end with the last request.
#[track_caller]
fn check(quota: &Quota, limit: Option<u32>, admitted: &[(Duration, u32)]) {
    let (last, mut sum) = (admitted.last().unwrap().0, 0);
    let window = |time: Duration| (START.as_secs() + time.as_secs()) / quota.period().as_secs();
    for (time, cost) in admitted.iter().rev() {
        sum += u64::from(*cost);
        let since = last - *time;
        if let Some(limit) = limit {
            let is_counted =
                if quota.has_fixed_windows() { window(*time) == window(last) } else { since < quota.period() };
            assert!(!is_counted || sum <= u64::from(limit), "{quota:?} {admitted:?}");
        }
        if !quota.has_fixed_windows() {
            let refilled = since.as_secs_f64() / quota.emission_interval().as_secs_f64();
            assert!(sum as f64 <= f64::from(quota.burst_size().get()) + refilled + 1e-6, "{quota:?} {admitted:?}");
        }
    }
}
