//! The conformance suites: the crate's own implementations pass them, and wrong ones do not.

use std::{fmt, num::NonZeroUsize, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use tower_warden::{
    Environment, ManualClock,
    api_key::MemoryKeyStore,
    rate_limit::{LocalRateLimiter, ManualStopwatch},
    replay::MemoryReplayGuard,
    revocation::MemoryRevocationList,
    testing::conformance::{
        LimiterTime, ReplayCapacity, RevocationEntry, RevokedBy, key_store, key_store_changes, key_store_management,
        key_store_management_changes, rate_limiter, replay_guard, revocation_list,
    },
};

use crate::support::{START, seconds};

mod wrong_guards;
mod wrong_limiters;
mod wrong_lists;
mod wrong_managed_stores;
mod wrong_stores;

#[tokio::test(flavor = "multi_thread")]
async fn memory_key_store_conforms() {
    key_store(async || MemoryKeyStore::default()).await;
    key_store(async || Arc::new(MemoryKeyStore::default())).await;
    key_store_management(async || MemoryKeyStore::default()).await;
    key_store_management(async || Arc::new(MemoryKeyStore::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_key_store_reports_changes() {
    key_store_changes(async || MemoryKeyStore::default()).await;
    key_store_management_changes(async || MemoryKeyStore::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_rate_limiter_conforms() {
    let stopwatch = ManualStopwatch::default();
    let advance = |duration| stopwatch.advance(duration);
    let make = async || LocalRateLimiter::default().stopwatch(stopwatch.clone());
    rate_limiter(LimiterTime::Manual(&advance), make).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_rate_limiter_conforms_by_the_clock_of_the_machine() {
    rate_limiter(LimiterTime::Real, async || LocalRateLimiter::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_revocation_list_conforms() {
    let environment = Environment::default().with_clock(ManualClock::at(START));
    let make = async || MemoryRevocationList::default().environment(&environment);
    let revoke = async |list: &MemoryRevocationList, entry: RevocationEntry<'_>| {
        list.revoke(entry.revocation(), START + seconds(3_600)).unwrap();
    };
    revocation_list(&RevokedBy::ALL, make, revoke).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_replay_guard_conforms() {
    replay_guard(ReplayCapacity::Unbounded, async || MemoryReplayGuard::default()).await;
    for (total, per_key) in [(2, 1), (2, 2), (8, 3), (100, 1)] {
        let [total, per_key] = [total, per_key].map(|number| NonZeroUsize::new(number).unwrap());
        let make = async || MemoryReplayGuard::new(total, per_key);
        replay_guard(ReplayCapacity::bounded(total, per_key), make).await;
    }
}

/// Asserts that a suite fails, and that it states the violated rule.
async fn assert_violated(fault: impl fmt::Debug, suite: impl Future<Output = ()>, rule: &str) {
    let Err(panic) = AssertUnwindSafe(suite).catch_unwind().await else { panic!("{fault:?} passes the suite") };
    let message = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let message = message.unwrap();
    assert!(message.contains(rule), "{fault:?} violates {rule:?}, but the suite states: {message}");
}
