//! Rules of counts.

use std::{sync::Arc, time::Duration};

use super::{super::answered, Bench, at_once, daily, key, quota};
use crate::{
    rate_limit::{Decision, LimitRequest, LimitStatus, QuotaSet},
    time::UnixTime,
};

pub(super) async fn burst_is_admitted_and_no_more(bench: &Bench) {
    let (alice, quotas) = (key("alice"), daily([("quota", 5)]));
    let rule = "the burst is admitted at once, and then nothing more";
    for left in (0..5).rev() {
        let status = bench.admit(&alice, &quotas, 1, rule).await;
        assert_eq!(status.remaining, left, "the status has the number of units that are left");
        assert_eq!(status.quota, 0, "the status has the place of its quota in the set");
    }
    for _ in 0..10 {
        let exceeded = bench.refuse(&alice, &quotas, 1, rule).await;
        assert_eq!(exceeded.status.remaining, 0, "the status has the number of units that are left");
        assert!(!exceeded.wait.is_zero(), "a refusal states how long to wait");
    }
}

pub(super) async fn cost_is_taken(bench: &Bench) {
    let (alice, quotas) = (key("alice"), daily([("quota", 10)]));
    let rule = "a request takes its cost";
    for (cost, left) in [(3, 7), (1, 6), (4, 2), (2, 0)] {
        let status = bench.admit(&alice, &quotas, cost, rule).await;
        assert_eq!(status.remaining, left, "{rule}: {cost} units");
    }
    bench.refuse(&alice, &quotas, 1, rule).await;
}

pub(super) async fn refused_request_costs_nothing(bench: &Bench) {
    let (alice, quotas) = (key("alice"), daily([("quota", 10)]));
    let rule = "a refused request costs nothing";
    bench.admit(&alice, &quotas, 6, rule).await;
    for cost in [5, 6, 10, u32::MAX].repeat(5) {
        let exceeded = bench.refuse(&alice, &quotas, cost, "a request that costs more than is left is refused").await;
        assert_eq!(exceeded.status.remaining, 4, "{rule}");
    }
    bench.admit(&alice, &quotas, 4, rule).await;
    bench.refuse(&alice, &quotas, 1, "the burst is admitted at once, and then nothing more").await;
}

pub(super) async fn cost_above_the_burst_is_the_burst(bench: &Bench) {
    let quotas = daily([("narrow", 5), ("wide", 10)]);
    let rule = "a cost above the burst is the burst, of each quota by itself";
    for cost in [6, 1_000, u32::MAX] {
        let caller = key(&format!("caller {cost}"));
        bench.admit(&caller, &quotas, cost, rule).await;
        bench.refuse(&caller, &quotas, 1, rule).await;
        let expected = 10_u32.saturating_sub(cost);
        bench.assert_left(&caller, &daily([("wide", 10)]), expected, rule).await;
    }
    let caller = key("caller with less than the burst");
    bench.admit(&caller, &quotas, 1, rule).await;
    bench.refuse(&caller, &quotas, u32::MAX, rule).await;
    bench.assert_left(&caller, &quotas, 4, "a refused request costs nothing").await;
}

pub(super) async fn request_takes_from_all_quotas_or_from_none(bench: &Bench) {
    let rule = "a request takes from all quotas of a set, or from none";
    // The quota that refuses is the first, the second and the last one.
    let sets =
        [[("narrow", 2), ("a", 5), ("b", 7)], [("a", 5), ("narrow", 2), ("b", 7)], [("a", 5), ("b", 7), ("narrow", 2)]];
    for (number, set) in sets.into_iter().enumerate() {
        let (caller, quotas) = (key(&format!("caller {number}")), daily(set));
        bench.admit(&caller, &quotas, 1, rule).await;
        bench.admit(&caller, &quotas, 1, rule).await;
        for _ in 0..10 {
            bench.refuse(&caller, &quotas, 1, rule).await;
        }
        for (name, burst) in [("a", 5), ("b", 7)] {
            bench.assert_left(&caller, &daily([(name, burst)]), burst - 2, rule).await;
        }
    }
}

pub(super) async fn status_is_that_of_the_tightest_quota(bench: &Bench) {
    let rule = "the status is that of the quota with the fewest units left";
    for (number, (set, place)) in [([("a", 9), ("b", 3)], 1), ([("b", 3), ("a", 9)], 0)].into_iter().enumerate() {
        let (caller, quotas) = (key(&format!("caller {number}")), daily(set));
        for left in [2, 1, 0] {
            let LimitStatus { quota, remaining, .. } = bench.admit(&caller, &quotas, 1, rule).await;
            assert_eq!((quota, remaining), (place, left), "{rule}");
        }
    }
}

pub(super) async fn refusal_names_the_violated_quotas(bench: &Bench) {
    let rule = "a refusal names the places of all quotas that are exceeded";
    let (alice, quotas) = (key("alice"), daily([("a", 3), ("b", 9), ("c", 5)]));
    bench.admit(&alice, &quotas, 2, rule).await;
    for (cost, violated) in [(2, vec![0]), (4, vec![0, 2]), (8, vec![0, 1, 2])] {
        let exceeded = bench.refuse(&alice, &quotas, cost, rule).await;
        assert_eq!(exceeded.violated, violated, "{rule}");
        let is_named = exceeded.violated.contains(&exceeded.status.quota);
        assert!(is_named, "the status of a refusal is that of an exceeded quota: {exceeded:?}");
    }
}

pub(super) async fn status_of_a_refusal_is_that_of_the_longest_wait(bench: &Bench) {
    let (slow, fast) = (quota("slow", 1, 2 * 86_400, 3), quota("fast", 1, 86_400, 3));
    for (caller, quotas, place) in [("alice", [slow.clone(), fast.clone()], 0), ("bob", [fast, slow], 1)] {
        let quotas = QuotaSet::new(quotas).expect("their names differ");
        let rule = "the status of a refusal is that of the quota with the longest wait";
        bench.admit(&key(caller), &quotas, 3, rule).await;
        let exceeded = bench.refuse(&key(caller), &quotas, 1, rule).await;
        assert_eq!((exceeded.status.quota, exceeded.violated), (place, vec![0, 1]), "{rule}");
        let needed = Duration::from_secs(86_400 * 3 / 2);
        assert!(exceeded.wait > needed, "the wait of a refusal is the longest one: {:?}", exceeded.wait);
    }
}

pub(super) async fn concurrent_requests_are_admitted_up_to_the_burst(bench: &Bench) {
    let quotas = daily([("narrow", 100), ("wide", 150)]);
    let requests = (0..1_000).map(|_| {
        let (bench, quotas) = (Bench { limiter: Arc::clone(&bench.limiter) }, quotas.clone());
        async move { bench.take(&key("alice"), &quotas, 1).await.is_ok() }
    });
    let admitted = at_once(requests).await.into_iter().filter(|is_admitted| *is_admitted).count();
    assert!(admitted <= 100, "concurrent requests are never admitted beyond the burst: {admitted} for 100");
    assert!(admitted == 100, "concurrent requests are admitted up to the burst: {admitted} for 100");
    let rule = "a request takes from all quotas of a set, or from none, also when requests are concurrent";
    bench.assert_left(&key("alice"), &daily([("wide", 150)]), 50, rule).await;
}

/// A limiter that does not support windows admits nothing under them.
pub(super) async fn window_admits_its_number_and_the_next_one_again(bench: &Bench) {
    let rule = "a window admits its number or, if windows are not supported, nothing; the next window again";
    let (alice, quotas) = (key("alice"), QuotaSet::from(quota("quota", 3, 86_400, 3).fixed_window()));
    let mut supported = None;
    for day in 0..3 {
        let midnight = UnixTime::from_secs(1_800_057_600 + day * 86_400);
        let mut admitted = 0;
        for second in 0..6 {
            let request = LimitRequest::new(&alice, &quotas).at(midnight + Duration::from_secs(second));
            match answered(bench.limiter.take(&request).wait().await) {
                Decision::Admitted(_) => admitted += 1,
                Decision::Refused(exceeded) => {
                    let left = Duration::from_secs(86_400 - second);
                    assert_eq!(exceeded.wait, left, "a refused request waits until its window ends");
                }
                Decision::Uncounted => panic!("a limiter under test counts each request"),
            }
        }
        assert_eq!(admitted, *supported.get_or_insert(admitted), "{rule}");
        assert!(admitted == 3 || admitted == 0, "{rule}: {admitted} of 3");
    }
}
