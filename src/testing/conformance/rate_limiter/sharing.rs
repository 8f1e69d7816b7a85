//! Rules of what is counted together and what is not.

use super::{Bench, daily, key, quota};
use crate::rate_limit::{LimitKey, QuotaSet};

pub(super) async fn keys_are_counted_separately(bench: &Bench) {
    let quotas = daily([("quota", 1)]);
    let of = |parts: &[(&str, &str)]| {
        let mut key = LimitKey::default();
        parts.iter().for_each(|(kind, value)| key.push(kind, value));
        key
    };
    // Long keys differ in their last byte only.
    let (long, other) = (format!("{}a", "x".repeat(10_000)), format!("{}b", "x".repeat(10_000)));
    let keys = [
        of(&[]),
        of(&[("subject", "")]),
        of(&[("subject", "alice")]),
        of(&[("subject", "Alice")]),
        of(&[("tenant", "alice")]),
        of(&[("subject", "alice"), ("tenant", "acme")]),
        of(&[("tenant", "acme"), ("subject", "alice")]),
        of(&[("subject", "alice\0")]),
        of(&[("subject", "a:b")]),
        of(&[("subject", "a"), ("subject", "b")]),
        of(&[("subject", &long)]),
        of(&[("subject", &other)]),
    ];
    for (number, key) in keys.iter().enumerate() {
        bench.admit(key, &quotas, 1, &format!("keys are counted separately, number {number} too")).await;
    }
    for key in &keys {
        bench.refuse(key, &quotas, 1, "a key is counted while others are").await;
    }
}

pub(super) async fn quotas_are_counted_separately(bench: &Bench) {
    let alice = key("alice");
    let quotas = [
        quota("quota", 1, 86_400, 2),
        quota("other", 1, 86_400, 2),
        quota("Quota", 1, 86_400, 2),
        quota("quota", 1, 86_401, 2),
        quota("quota", 1, 86_400, 3),
        quota("quota", 2, 86_400, 2),
    ];
    for quota in &quotas {
        let (burst, quotas) = (quota.burst_size().get(), QuotaSet::from(quota.clone()));
        let rule = "quotas with different names or numbers are counted separately";
        bench.admit(&alice, &quotas, burst, rule).await;
    }
    for quota in quotas {
        bench.refuse(&alice, &quota.into(), 1, "a quota is counted while others are").await;
    }
}

pub(super) async fn equal_quotas_of_two_sets_share_a_count(bench: &Bench) {
    let alice = key("alice");
    let rule = "equal quotas of two sets share a count";
    bench.admit(&alice, &daily([("a", 5), ("shared", 3)]), 2, rule).await;
    bench.admit(&alice, &daily([("shared", 3)]), 1, rule).await;
    let exceeded = bench.refuse(&alice, &daily([("shared", 3), ("b", 5)]), 1, rule).await;
    assert_eq!(exceeded.violated, [0], "{rule}");
    bench.assert_left(&alice, &daily([("a", 5)]), 3, rule).await;
    bench.assert_left(&alice, &daily([("b", 5)]), 5, rule).await;
}
