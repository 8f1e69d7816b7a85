//! Rules of rate limiters.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use super::{answered, at_once};
use crate::rate_limit::{Decision, LimitExceeded, LimitKey, LimitRequest, LimitStatus, Quota, QuotaSet, RateLimiter};

mod counting;
mod sharing;
mod timing;

/// The time of a limiter under test.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum LimiterTime<'a> {
    /// Moves forwards only when this closure is called, for all limiters of the factory. All rules are checked.
    Manual(&'a dyn Fn(Duration)),
    /// Passes by itself. The suite sleeps for some seconds, by tokio's timer, and checks the rules of time that hold
    /// however late a request comes: the wait of a refusal is enough, and refusals make no wait longer.
    Real,
    /// Passes, but too slowly to sleep for. The suite checks no rule of time.
    Skipped,
}

impl fmt::Debug for LimiterTime<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manual(_) => "Manual(..)",
            Self::Real => "Real",
            Self::Skipped => "Skipped",
        })
    }
}

/// Checks the rules of [`RateLimiter`]; `make` returns a new limiter, which has counted nothing.
///
/// # Panics
///
/// At the first rule that is violated.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     rate_limit::{LocalRateLimiter, ManualStopwatch},
///     testing::conformance::{LimiterTime, rate_limiter},
/// };
///
/// # #[tokio::main] async fn main() {
/// let stopwatch = ManualStopwatch::default();
/// let advance = |duration| stopwatch.advance(duration);
/// let make = async || LocalRateLimiter::default().stopwatch(stopwatch.clone());
/// rate_limiter(LimiterTime::Manual(&advance), make).await;
/// # }
/// ```
pub async fn rate_limiter<L: RateLimiter>(time: LimiterTime<'_>, make: impl AsyncFn() -> L) {
    let fresh = async || Bench { limiter: Arc::new(make().await) };

    counting::burst_is_admitted_and_no_more(&fresh().await).await;
    counting::cost_is_taken(&fresh().await).await;
    counting::refused_request_costs_nothing(&fresh().await).await;

    sharing::keys_are_counted_separately(&fresh().await).await;
    sharing::quotas_are_counted_separately(&fresh().await).await;
    sharing::equal_quotas_of_two_sets_share_a_count(&fresh().await).await;

    counting::cost_above_the_burst_is_the_burst(&fresh().await).await;
    counting::request_takes_from_all_quotas_or_from_none(&fresh().await).await;
    counting::status_is_that_of_the_tightest_quota(&fresh().await).await;
    counting::refusal_names_the_violated_quotas(&fresh().await).await;
    counting::status_of_a_refusal_is_that_of_the_longest_wait(&fresh().await).await;
    counting::concurrent_requests_are_admitted_up_to_the_burst(&fresh().await).await;
    counting::window_admits_its_number_and_the_next_one_again(&fresh().await).await;

    match time {
        LimiterTime::Manual(advance) => {
            timing::waiting_as_long_as_stated_is_enough(&fresh().await, async |wait| advance(wait)).await;
            timing::refusals_make_no_wait_longer(&fresh().await, async |wait| advance(wait)).await;
            timing::units_come_back_one_by_one(&fresh().await, advance).await;
            timing::wait_is_no_longer_than_needed(&fresh().await).await;
            timing::unused_units_do_not_add_up(&fresh().await, advance).await;
            timing::no_stretch_of_time_admits_more_than_the_quota(&fresh().await, advance).await;
        }
        LimiterTime::Real => {
            timing::waiting_as_long_as_stated_is_enough(&fresh().await, tokio::time::sleep).await;
            timing::refusals_make_no_wait_longer(&fresh().await, tokio::time::sleep).await;
        }
        LimiterTime::Skipped => {}
    }
}

/// A limiter under test.
struct Bench {
    limiter: Arc<dyn RateLimiter>,
}

impl Bench {
    async fn take(&self, key: &LimitKey, quotas: &QuotaSet, cost: u32) -> Result<LimitStatus, LimitExceeded> {
        let cost = NonZeroU32::new(cost).expect("the requests of this suite cost something");
        let request = LimitRequest::new(key, quotas).cost(cost);
        match answered(self.limiter.take(&request).wait().await) {
            Decision::Admitted(status) => Ok(status),
            Decision::Refused(exceeded) => Err(exceeded),
            Decision::Uncounted => panic!("a limiter under test counts each request"),
        }
    }

    async fn admit(&self, key: &LimitKey, quotas: &QuotaSet, cost: u32, rule: &str) -> LimitStatus {
        match self.take(key, quotas, cost).await {
            Ok(status) => status,
            Err(exceeded) => panic!("{rule}: a request was refused: {exceeded:?}"),
        }
    }

    async fn refuse(&self, key: &LimitKey, quotas: &QuotaSet, cost: u32, rule: &str) -> LimitExceeded {
        match self.take(key, quotas, cost).await {
            Ok(status) => panic!("{rule}: a request was admitted: {status:?}"),
            Err(exceeded) => exceeded,
        }
    }

    /// Asserts that there are as many units, by using them.
    async fn assert_left(&self, key: &LimitKey, quotas: &QuotaSet, units: u32, rule: &str) {
        for _ in 0..units {
            self.admit(key, quotas, 1, rule).await;
        }
        self.refuse(key, quotas, 1, rule).await;
    }
}

fn key(name: &str) -> LimitKey {
    let mut key = LimitKey::default();
    key.push("subject", name);
    key
}

/// Quotas of which hardly anything comes back while a test runs, however slow the machine is.
fn daily<const N: usize>(bursts: [(&str, u32); N]) -> QuotaSet {
    let quotas = bursts.map(|(name, burst)| quota(name, 1, 86_400, burst));
    QuotaSet::new(quotas).expect("the quotas of this suite have different names")
}

fn quota(name: &str, count: u32, period: u64, burst: u32) -> Quota {
    let number = |number| NonZeroU32::new(number).expect("the quotas of this suite are not zero");
    Quota::new(name, number(count), Duration::from_secs(period), number(burst)).expect("the quotas are valid")
}
