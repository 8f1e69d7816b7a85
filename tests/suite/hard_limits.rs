//! Limits that admit no more than their number: sliding, in fixed windows, and in days and months of a calendar.

use std::{num::NonZeroU32, panic::catch_unwind, time::Duration};

use tower::ServiceBuilder;
use tower_warden::{
    Environment, ManualClock, UnixTime,
    layer::RateLimitLayer,
    rate_limit::{
        Decision, LimitBy, LimitExceeded, LimitKey, LimitRequest, LocalRateLimiter, ManualStopwatch, Quota, QuotaSet,
        UtcOffset, nonzero,
        shared::{ExhaustedKeys, LimitState},
    },
};

use crate::{
    rate_limits::{Limited, from},
    support::{request, seconds},
};

/// 2027-01-15 08:00:00 UTC.
const MORNING: u64 = 1_800_000_000;

const DAY: u64 = 86_400;

struct Bench {
    limiter: LocalRateLimiter,
    stopwatch: ManualStopwatch,
    quotas: QuotaSet,
}

impl Bench {
    fn new(quotas: impl Into<QuotaSet>) -> Self {
        let stopwatch = ManualStopwatch::default();
        let limiter = LocalRateLimiter::bounded(1_000).stopwatch(stopwatch.clone());
        Self { limiter, stopwatch, quotas: quotas.into() }
    }

    fn take(&self, name: &str, cost: u32, at: u64) -> Decision {
        let mut key = LimitKey::default();
        key.push("subject", name);
        let request = LimitRequest::new(&key, &self.quotas).cost(nonzero(cost)).at(UnixTime::from_secs(at));
        self.limiter.take_share(&request, NonZeroU32::MIN)
    }

    fn admitted(&self, count: usize, at: u64) -> usize {
        (0..count).filter(|_| matches!(self.take("alice", 1, at), Decision::Admitted(_))).count()
    }

    fn refusal(&self, cost: u32, at: u64) -> LimitExceeded {
        match self.take("alice", cost, at) {
            Decision::Refused(exceeded) => exceeded,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn fixed_window_admits_its_number_until_it_ends() {
    let bench = Bench::new(Quota::per_day(1_000).fixed_window());
    let midnight = MORNING - MORNING % DAY;
    assert_eq!(bench.admitted(600, midnight), 600);
    bench.stopwatch.advance(seconds(DAY / 2));
    assert_eq!(bench.admitted(2_000, midnight + DAY / 2), 400, "nothing is available again within the window");
    bench.stopwatch.advance(seconds(DAY / 2 - 1));
    let exceeded = bench.refusal(1, midnight + DAY - 1);
    assert_eq!((exceeded.wait, exceeded.status.reset, exceeded.status.remaining), (seconds(1), seconds(1), 0));
    bench.stopwatch.advance(seconds(1));
    assert_eq!(bench.admitted(2_000, midnight + DAY), 1_000);
    assert_eq!(bench.admitted(10, midnight + DAY - 1), 0, "a clock that is set back resets nothing");
}

#[test]
fn calendar_day_begins_at_midnight_at_the_offset() {
    for (minutes, end) in [(0, 16 * 3_600), (330, 10 * 3_600 + 1_800), (-480, 24 * 3_600), (-481, 60), (60, 15 * 3_600)]
    {
        let offset = UtcOffset::minutes(minutes).unwrap();
        let bench = Bench::new(Quota::per_calendar_day(2, offset));
        assert_eq!(bench.admitted(5, MORNING), 2);
        assert_eq!(bench.refusal(1, MORNING).wait, seconds(end), "{minutes}");
        assert_eq!(bench.admitted(5, MORNING + end - 1), 0, "{minutes}");
        assert_eq!(bench.admitted(5, MORNING + end), 2, "{minutes}");
    }
}

#[test]
fn calendar_month_has_the_length_of_that_month() {
    // February of a common year, of a leap year, and of 2100, which is not one.
    for (start, days) in [(1_801_440_000, 28), (1_832_976_000, 29), (4_105_123_200, 28), (1_798_761_600, 31)] {
        let bench = Bench::new(Quota::per_calendar_month(10_000, UtcOffset::UTC));
        for (at, admitted) in
            [(start - 1, 10_000), (start, 9_999), (start + days * DAY - 1, 1), (start + days * DAY, 10_000)]
        {
            let wanted = if at == start { 9_999 } else { 12_000 };
            assert_eq!(bench.admitted(wanted, at), admitted, "{start} {at}");
        }
    }
}

#[test]
fn no_interval_of_a_period_has_more_than_the_number_of_a_sliding_quota() {
    for quota in [
        Quota::per_minute(1).sliding(),
        Quota::per_minute(2).sliding(),
        Quota::per_minute(7).sliding(),
        Quota::per_minute(60).sliding(),
        Quota::per_minute(60).burst(1).sliding(),
        Quota::per_minute(60).burst(59).sliding(),
    ] {
        let limit = quota.clone();
        let most = usize::try_from(limit.count().get() + limit.burst_size().get() - 1).unwrap();
        let (bench, mut times, mut now) = (Bench::new(quota), Vec::new(), Duration::ZERO);
        let mut random = 12_345_u32;
        for _ in 0..3_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let pause = Duration::from_millis(if random >> 29 == 0 { 20_000 } else { u64::from(random >> 16) % 900 });
            bench.stopwatch.advance(pause);
            now += pause;
            times.extend((0..bench.admitted(3, MORNING)).map(|_| now));
        }
        for (first, start) in times.iter().enumerate() {
            let within = times[first..].iter().take_while(|time| **time - *start < seconds(60)).count();
            assert!(within <= most, "{limit:?}: {within} within a minute");
        }
        assert!(times.len() > most, "{limit:?}: units become available again");
    }
}

#[test]
fn hard_limits_are_described_by_their_number() {
    assert_eq!(Quota::per_day(1_000).sliding().burst_size(), nonzero(500));
    let clock = ManualClock::at(UnixTime::from_secs(MORNING));
    let quotas = [
        Quota::per_minute(20).sliding(),
        Quota::per_calendar_day(4, UtcOffset::UTC),
        Quota::per_hour(5).fixed_window(),
        Quota::per_calendar_month(9, UtcOffset::UTC),
    ];
    let environment = Environment::default().with_clock(clock.clone());
    let app = Limited::new(|limiter| {
        let limit = RateLimitLayer::new("calls", limiter, LimitBy::peer(), quotas).environment(&environment);
        ServiceBuilder::new().layer(limit).into_inner()
    });
    tokio_test::block_on(async {
        let call = || app.send(from(request(), "192.0.2.1"));
        let answer = call().await;
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some(
                "\"per-minute\";q=20;w=60, \"per-day\";q=4;w=86400, \"per-hour\";q=5;w=3600, \"per-month\";q=9;w=2678400"
            )
        );
        assert_eq!(answer.header("ratelimit"), Some("\"per-day\";r=3;t=57600"));
        for _ in 0..3 {
            assert_eq!(call().await.status, 200);
        }
        let refused = call().await;
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("57600")));
        assert_eq!(refused.json()["violated-policies"], serde_json::json!(["per-day"]));
        clock.advance(seconds(57_600));
        assert_eq!(call().await.header("ratelimit"), Some("\"per-day\";r=3;t=86400"));
    });
}

#[test]
fn request_takes_from_windows_and_rates_together_or_from_none() {
    let bench = Bench::new([Quota::per_second(2), Quota::per_day(3).fixed_window()]);
    assert_eq!(bench.admitted(5, MORNING), 2);
    assert_eq!(bench.refusal(1, MORNING).violated, [0]);
    bench.stopwatch.advance(seconds(1));
    assert_eq!(bench.admitted(5, MORNING + 1), 1);
    let exceeded = bench.refusal(2, MORNING + 1);
    assert_eq!((exceeded.violated, exceeded.status.quota), (vec![0, 1], 1));
    let bench = Bench::new(Quota::per_day(10).fixed_window());
    assert!(matches!(bench.take("bob", u32::MAX, MORNING), Decision::Admitted(status) if status.remaining == 0));
    assert!(matches!(bench.take("bob", 1, MORNING), Decision::Refused(_)));
}

#[test]
fn flood_of_keys_frees_no_window_that_is_used_up() {
    let bench = Bench::new(Quota::per_day(2).fixed_window());
    for number in 0..50 {
        for _ in 0..2 {
            assert!(matches!(bench.take(&format!("used-{number}"), 1, MORNING), Decision::Admitted(_)));
        }
    }
    bench.stopwatch.advance(seconds(60));
    for number in 0..20_000 {
        let _ = bench.take(&format!("flood-{number}"), 1, MORNING + 60);
    }
    for number in 0..50 {
        assert!(matches!(bench.take(&format!("used-{number}"), 1, MORNING + 60), Decision::Refused(_)), "{number}");
    }
}

#[test]
fn windows_are_shared_corrected_and_cached_like_rates() {
    let (key, quotas) = (LimitKey::default(), QuotaSet::from(Quota::per_day(10).fixed_window()));
    let request = LimitRequest::new(&key, &quotas).at(UnixTime::from_secs(MORNING));
    let count = |limiter: &LocalRateLimiter, nodes| {
        (0..20).filter(|_| matches!(limiter.take_share(&request, nodes), Decision::Admitted(_))).count()
    };
    let share = LocalRateLimiter::bounded(100);
    assert_eq!(count(&share, nonzero(3)), 3);

    let settled = LocalRateLimiter::bounded(100);
    assert!(matches!(settled.take_share(&request, nonzero(1)), Decision::Admitted(_)));
    settled.settle_share(&request, 6, nonzero(1));
    assert_eq!(count(&settled, nonzero(1)), 4);
    settled.settle_share(&request, 0, nonzero(1));
    assert_eq!(count(&settled, nonzero(1)), 1);
    settled.settle_share(&request, u32::MAX, nonzero(1));
    assert_eq!(count(&settled, nonzero(1)), 0);

    // A store that does not support windows admits nothing under them.
    assert!(LimitState::new(&request, []).exceeded().is_some());
    let mut state = LimitState::new(&request, []).with_windows();
    for used in 1..=10 {
        assert!(matches!(state.take(), Decision::Admitted(_)));
        assert_eq!(state.until_tats().collect::<Vec<_>>(), [Duration::from_nanos(used)]);
    }
    assert_eq!(state.exceeded().unwrap().wait, seconds(16 * 3_600));

    let exhausted = ExhaustedKeys::bounded(100);
    exhausted.record(&state, seconds(5));
    assert_eq!(exhausted.state(&request, seconds(6)).exceeded().unwrap().wait, seconds(16 * 3_600));
    let tomorrow = request.at(UnixTime::from_secs(MORNING + DAY));
    assert!(exhausted.state(&tomorrow, seconds(6)).exceeded().is_none());
    assert_ne!(request.ids().next(), tomorrow.ids().next());
    exhausted.forget(&request, seconds(7));
    assert!(exhausted.state(&request, seconds(7)).exceeded().is_none());
}

#[test]
fn hard_limits_are_made_once_and_of_a_burst_below_the_number() {
    let quota = || Quota::per_day(10);
    assert!(catch_unwind(|| quota().burst(11).sliding()).is_err());
    assert!(catch_unwind(|| quota().sliding().burst(3)).is_err());
    assert!(catch_unwind(|| quota().sliding().fixed_window()).is_err());
    assert!(catch_unwind(|| quota().fixed_window().burst(3)).is_err());
    assert!(catch_unwind(|| Quota::per_calendar_day(1, UtcOffset::UTC).sliding()).is_err());
    for minutes in [1_081, -1_081, i16::MAX, i16::MIN] {
        assert!(UtcOffset::minutes(minutes).is_err());
    }
    // The ids of quotas without windows have not changed.
    let id = |quota: Quota| LimitRequest::new(&LimitKey::default(), &QuotaSet::from(quota)).ids().next().unwrap();
    assert_eq!(id(Quota::per_minute(60)), 0xac82_87f0_9cab_2190);
}
