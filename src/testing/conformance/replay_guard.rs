//! Rules of replay guards.

use std::{num::NonZeroUsize, sync::Arc};

use super::{answered, at_once};
use crate::{
    digest::Digest,
    replay::{ReplayGuard, ReplayVerdict, UsedProof},
    time::UnixTime,
};

/// The number of proofs that a guard under test can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReplayCapacity {
    /// Limited, and proofs expire by [`UsedProof::now`]. The suite fills the guard: choose up to a few hundred proofs.
    #[non_exhaustive]
    Bounded {
        /// The number of proofs of all keys: two or more.
        total: NonZeroUsize,
        /// The number of proofs of one key; `total`, if keys have no limit of their own.
        per_key: NonZeroUsize,
    },
    /// Not limited, or to far more proofs than a test can add. The suite checks neither the rules of full guards, nor
    /// that expired proofs make room.
    Unbounded,
}

impl ReplayCapacity {
    /// Room for `total` proofs, and for `per_key` proofs of one key.
    #[must_use]
    pub const fn bounded(total: NonZeroUsize, per_key: NonZeroUsize) -> Self {
        Self::Bounded { total, per_key }
    }
}

/// Checks the rules of [`ReplayGuard`]; `make` returns a new and empty guard with the given capacity.
///
/// See the [module docs](super) for an example.
///
/// # Panics
///
/// At the first rule that is violated.
pub async fn replay_guard<G: ReplayGuard>(capacity: ReplayCapacity, make: impl AsyncFn() -> G) {
    proof_is_new_once(&make().await).await;
    proofs_of_other_keys_and_ids_are_independent(&make).await;
    proof_is_replayed_until_its_last_second(&make().await).await;
    proof_stays_replayed_when_the_clock_is_set_back(&make().await).await;
    one_of_a_hundred_concurrent_uses_is_new(make().await).await;
    if let ReplayCapacity::Bounded { total, per_key } = capacity {
        full_guard_refuses_new_proofs(&make().await, total.get()).await;
        expired_proofs_make_room(&make().await, total.get()).await;
        if per_key < total {
            full_key_leaves_room_for_other_keys(&make().await, per_key.get()).await;
        }
    }
}

async fn proof_is_new_once(guard: &dyn ReplayGuard) {
    let proof = proof("key", "id");
    assert_eq!(record(guard, proof).await, ReplayVerdict::New, "a proof is new at its first use");
    for later in 0..3 {
        let verdict = record(guard, at(proof, NOW + later)).await;
        assert_eq!(verdict, ReplayVerdict::Replayed, "a proof is replayed at each further use");
    }
}

/// Uses a guard for each pair, so that a guard with room for two proofs can be checked.
async fn proofs_of_other_keys_and_ids_are_independent<G: ReplayGuard>(make: &impl AsyncFn() -> G) {
    let pairs = [
        (["key", "id"], ["other", "id"], "proofs of two keys with one id are independent"),
        (["key", "id"], ["id", "key"], "key and id of a proof are not interchangeable"),
    ];
    for ([key, id], [other_key, other_id], rule) in pairs {
        let guard = make().await;
        assert_eq!(record(&guard, proof(key, id)).await, ReplayVerdict::New, "{rule}");
        assert_eq!(record(&guard, proof(other_key, other_id)).await, ReplayVerdict::New, "{rule}");
        assert_eq!(record(&guard, proof(key, id)).await, ReplayVerdict::Replayed, "{rule}");
    }
    let guard = make().await;
    assert_eq!(record(&guard, proof("key", "id")).await, ReplayVerdict::New, "a proof is new at its first use");
    let verdict = record(&guard, proof("key", "other")).await;
    // Of a guard with room for one proof of each key, the second one is refused as such.
    let is_independent = matches!(verdict, ReplayVerdict::New | ReplayVerdict::KeyFull);
    assert!(is_independent, "two proofs of one key with different ids are independent: the second is {verdict:?}");
}

async fn proof_is_replayed_until_its_last_second(guard: &dyn ReplayGuard) {
    let proof = proof("key", "id");
    assert_eq!(record(guard, proof).await, ReplayVerdict::New, "a proof is new at its first use");
    for now in [UNTIL - 1, UNTIL] {
        let verdict = record(guard, at(proof, now)).await;
        assert_eq!(verdict, ReplayVerdict::Replayed, "a proof stays replayed up to and including its last second");
    }
}

async fn proof_stays_replayed_when_the_clock_is_set_back(guard: &dyn ReplayGuard) {
    let first = proof("key", "id");
    assert_eq!(record(guard, first).await, ReplayVerdict::New, "a proof is new at its first use");
    // Of a node whose clock is ahead: it may purge what has expired by its own clock.
    let ahead = UsedProof::new(digest("other"), digest("id"), seconds(UNTIL + 1_000), seconds(UNTIL + 500));
    record(guard, ahead).await;
    let verdict = record(guard, at(first, NOW + 1)).await;
    assert_eq!(verdict, ReplayVerdict::Replayed, "a clock that is set back makes no used proof new");
}

async fn one_of_a_hundred_concurrent_uses_is_new(guard: impl ReplayGuard) {
    let guard: Arc<dyn ReplayGuard> = Arc::new(guard);
    let uses = (0..100).map(|_| {
        let guard = Arc::clone(&guard);
        async move { record(&*guard, proof("key", "id")).await }
    });
    let verdicts = at_once(uses).await;
    let count = |expected| verdicts.iter().filter(|verdict| **verdict == expected).count();
    let (new, replayed) = (count(ReplayVerdict::New), count(ReplayVerdict::Replayed));
    assert!(
        (new, replayed) == (1, 99),
        "of 100 concurrent uses of a proof, exactly one is new: {new} were new, and {replayed} replayed"
    );
}

async fn full_guard_refuses_new_proofs(guard: &dyn ReplayGuard, total: usize) {
    fill(guard, total).await;
    for _ in 0..2 {
        let verdict = record(guard, proof("one more", "id")).await;
        assert_eq!(verdict, ReplayVerdict::Full, "a full guard refuses new proofs");
    }
    for number in 0..total {
        let verdict = record(guard, proof(&format!("key {number}"), "id")).await;
        assert_eq!(verdict, ReplayVerdict::Replayed, "a full guard forgets no proof before its time");
    }
}

async fn full_key_leaves_room_for_other_keys(guard: &dyn ReplayGuard, per_key: usize) {
    let of_key = |number| proof("key", &format!("id {number}"));
    for number in 0..per_key {
        let verdict = record(guard, of_key(number)).await;
        assert_eq!(verdict, ReplayVerdict::New, "a guard has room for {per_key} proofs of one key");
    }
    let verdict = record(guard, of_key(per_key)).await;
    assert_eq!(verdict, ReplayVerdict::KeyFull, "more than {per_key} proofs of one key are refused");
    let verdict = record(guard, of_key(0)).await;
    assert_eq!(verdict, ReplayVerdict::Replayed, "a full guard forgets no proof before its time");
    let verdict = record(guard, proof("other", "id")).await;
    assert_eq!(verdict, ReplayVerdict::New, "a key without room leaves room for other keys");
}

async fn expired_proofs_make_room(guard: &dyn ReplayGuard, total: usize) {
    fill(guard, total).await;
    let next = UsedProof::new(digest("one more"), digest("id"), seconds(UNTIL + 100), seconds(UNTIL));
    let verdict = record(guard, next).await;
    assert_eq!(verdict, ReplayVerdict::Full, "a proof takes room up to and including its last second");
    for number in 0..total {
        let next = UsedProof::new(digest(&format!("later {number}")), digest("id"), next.until, seconds(UNTIL + 1));
        let verdict = record(guard, next).await;
        assert_eq!(verdict, ReplayVerdict::New, "expired proofs are forgotten and make room");
    }
}

/// Adds a proof for each of `total` keys.
async fn fill(guard: &dyn ReplayGuard, total: usize) {
    for number in 0..total {
        let verdict = record(guard, proof(&format!("key {number}"), "id")).await;
        assert_eq!(verdict, ReplayVerdict::New, "a guard has room for {total} proofs");
    }
}

async fn record(guard: &dyn ReplayGuard, proof: UsedProof) -> ReplayVerdict {
    answered(guard.record(&proof).wait().await)
}

fn proof(key: &str, id: &str) -> UsedProof {
    UsedProof::new(digest(key), digest(id), seconds(UNTIL), seconds(NOW))
}

fn at(proof: UsedProof, now: u64) -> UsedProof {
    UsedProof { now: seconds(now), ..proof }
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

const fn seconds(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds)
}

const NOW: u64 = 1_800_000_000;

/// The last second of the proofs. Far enough that a guard with the machine's clock does not forget them meanwhile.
const UNTIL: u64 = NOW + 300;
