//! Rules of time.

use std::time::Duration;

use super::{Bench, key, quota};
use crate::rate_limit::{LimitKey, QuotaSet};

/// The longest wait that may be added by rounding.
const ROUNDING: Duration = Duration::from_secs(1);

/// Several quotas, and costs above the burst of one of them.
pub(super) async fn waiting_as_long_as_stated_is_enough(bench: &Bench, wait: impl AsyncFn(Duration)) {
    let quotas = QuotaSet::new([quota("a", 20, 1, 4), quota("b", 50, 2, 12)]).expect("their names differ");
    for (number, cost) in [1, 3, 4, 7, 12, 1_000].into_iter().enumerate() {
        let caller = key(&format!("caller {number}"));
        for _ in 0..3 {
            // With the time of the machine, units come back meanwhile.
            let Some(exceeded) = until_refused(bench, &caller, &quotas, cost).await else { continue };
            wait(exceeded).await;
            bench.admit(&caller, &quotas, cost, "waiting for as long as a refusal says is enough").await;
        }
    }
}

pub(super) async fn refusals_make_no_wait_longer(bench: &Bench, wait: impl AsyncFn(Duration)) {
    let (alice, quotas) = (key("alice"), QuotaSet::from(quota("quota", 1, 2, 1)));
    let rule = "refusals make no wait longer";
    let Some(first) = until_refused(bench, &alice, &quotas, 1).await else { return };
    let mut last = first;
    for _ in 0..10 {
        let Err(exceeded) = bench.take(&alice, &quotas, 1).await else { return };
        assert!(exceeded.wait <= last, "{rule}: {:?} after {last:?}", exceeded.wait);
        last = exceeded.wait;
        wait(first / 20).await;
    }
    wait(last).await;
    bench.admit(&alice, &quotas, 1, rule).await;
}

pub(super) async fn wait_is_no_longer_than_needed(bench: &Bench) {
    let (alice, quotas) = (key("alice"), QuotaSet::from(quota("quota", 10, 100, 5)));
    let rule = "a wait is no longer than the units need to come back, but for rounding";
    bench.admit(&alice, &quotas, 5, rule).await;
    for cost in [1_u32, 2, 5, 1_000] {
        let exceeded = bench.refuse(&alice, &quotas, cost, rule).await;
        let needed = Duration::from_secs(10) * cost.min(5);
        assert!(exceeded.wait >= needed, "a wait is long enough: {:?} for {needed:?}", exceeded.wait);
        assert!(exceeded.wait <= needed + ROUNDING, "{rule}: {:?} for {needed:?}", exceeded.wait);
        assert_eq!(exceeded.status.reset, exceeded.wait, "the status of a refusal has the same wait");
    }
}

pub(super) async fn units_come_back_one_by_one(bench: &Bench, advance: &dyn Fn(Duration)) {
    let (alice, quotas) = (key("alice"), QuotaSet::from(quota("quota", 10, 100, 5)));
    let rule = "units come back one by one, at the rate of the quota";
    bench.admit(&alice, &quotas, 5, rule).await;
    for _ in 0..3 {
        bench.refuse(&alice, &quotas, 1, rule).await;
        advance(Duration::from_secs(5));
        bench.refuse(&alice, &quotas, 1, rule).await;
        advance(Duration::from_secs(5));
        bench.assert_left(&alice, &quotas, 1, rule).await;
    }
    advance(Duration::from_secs(35));
    bench.assert_left(&alice, &quotas, 3, rule).await;
    advance(Duration::from_secs(5));
    bench.assert_left(&alice, &quotas, 1, "a part of a unit is not lost").await;
}

pub(super) async fn unused_units_do_not_add_up(bench: &Bench, advance: &dyn Fn(Duration)) {
    let (alice, quotas) = (key("alice"), QuotaSet::from(quota("quota", 10, 100, 5)));
    let rule = "units that are not used do not add up beyond the burst";
    for idle in [0, 50, 1_000, 1_000_000] {
        advance(Duration::from_secs(idle));
        bench.assert_left(&alice, &quotas, 5, rule).await;
        advance(Duration::from_secs(50));
    }
}

/// Fixed windows admit twice the quota around their ends.
pub(super) async fn no_stretch_of_time_admits_more_than_the_quota(bench: &Bench, advance: &dyn Fn(Duration)) {
    const BURST: u128 = 6;
    let (interval, quotas) = (Duration::from_millis(100), QuotaSet::from(quota("quota", 10, 1, 6)));
    let (mut admitted, mut now, mut random) = (Vec::new(), Duration::ZERO, 12_345_u32);
    for _ in 0..600 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Long pauses and short ones, between requests of one to three units.
        let pause = if random >> 28 == 0 { 900 } else { (random >> 16) % 120 };
        advance(Duration::from_millis(pause.into()));
        now += Duration::from_millis(pause.into());
        let cost = 1 + (random >> 8) % 3;
        if bench.take(&key("alice"), &quotas, cost).await.is_ok() {
            admitted.push((now, u128::from(cost)));
        }
    }
    for (first, (start, _)) in admitted.iter().enumerate() {
        let mut sum = 0;
        for (end, cost) in &admitted[first..] {
            sum += cost;
            let allowed = BURST + (*end - *start).as_nanos() / interval.as_nanos();
            let rule = "no stretch of time admits more than the burst and what comes back meanwhile";
            assert!(sum <= allowed, "{rule}: {sum} units for {allowed} within {:?}", *end - *start);
        }
    }
    let used: u128 = admitted.iter().map(|(_, cost)| cost).sum();
    let offered = now.as_nanos() / interval.as_nanos();
    assert!(used * 2 > offered, "what comes back can be used: {used} units of {offered} were");
}

/// Sends requests until one is refused, and returns its wait; nothing, if units come back faster than they are taken.
async fn until_refused(bench: &Bench, caller: &LimitKey, quotas: &QuotaSet, cost: u32) -> Option<Duration> {
    for _ in 0..1_000 {
        if let Err(exceeded) = bench.take(caller, quotas, cost).await {
            return Some(exceeded.wait);
        }
    }
    None
}
