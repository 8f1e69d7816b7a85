//! Replay guards with one fault each.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use tower_warden::{
    Digest, Eventual, Unavailable, UnixTime,
    replay::{ReplayGuard, ReplayVerdict, UsedProof},
    testing::conformance::{ReplayCapacity, replay_guard},
};

use super::assert_violated;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    AcceptsAll,
    ChecksThenAdds,
    CountsAllAsOneKey,
    EvictsWhenFull,
    ForgetsInTheLastSecond,
    HasNoBound,
    HasNoBoundOfKeys,
    IsUnavailable,
    KeepsExpired,
    MixesKeyAndId,
    None,
    PurgesByTheLatestClock,
    SeesIdsOnly,
    SeesKeysOnly,
}

type Seen = HashMap<Digest, (Digest, UnixTime)>;

#[derive(Clone)]
struct Guard {
    fault: Fault,
    seen: Arc<Mutex<(Seen, UnixTime)>>,
}

const TOTAL: usize = 5;
const PER_KEY: usize = 3;

impl Guard {
    fn new(fault: Fault) -> Self {
        Self { fault, seen: Arc::default() }
    }

    fn name(&self, proof: &UsedProof) -> Digest {
        match self.fault {
            Fault::SeesIdsOnly => proof.id,
            Fault::SeesKeysOnly => proof.key,
            Fault::MixesKeyAndId => {
                let (key, id) = (proof.key.as_bytes(), proof.id.as_bytes());
                Digest::from_bytes(std::array::from_fn(|index| key[index] ^ id[index]))
            }
            _ => proof.digest(),
        }
    }

    fn is_seen(&self, proof: &UsedProof) -> bool {
        let (seen, latest) = &mut *self.seen.lock().unwrap();
        // A high-water mark, so that a clock that is set back makes nothing new.
        *latest = (*latest).max(proof.now);
        let now = if self.fault == Fault::PurgesByTheLatestClock { proof.now } else { *latest };
        match self.fault {
            Fault::KeepsExpired => {}
            Fault::ForgetsInTheLastSecond => seen.retain(|_, (_, until)| *until > now),
            _ => seen.retain(|_, (_, until)| *until >= now),
        }
        let is_past = proof.until < now && self.fault != Fault::PurgesByTheLatestClock;
        is_past || seen.contains_key(&self.name(proof))
    }

    fn add(&self, proof: &UsedProof) -> ReplayVerdict {
        let (seen, _) = &mut *self.seen.lock().unwrap();
        let of_key = |key: &Digest| *key == proof.key || self.fault == Fault::CountsAllAsOneKey;
        let has_bound = !matches!(self.fault, Fault::HasNoBound | Fault::HasNoBoundOfKeys);
        if has_bound && seen.values().filter(|(key, _)| of_key(key)).count() >= PER_KEY {
            return ReplayVerdict::KeyFull;
        }
        if seen.len() >= TOTAL && self.fault != Fault::HasNoBound {
            if self.fault != Fault::EvictsWhenFull {
                return ReplayVerdict::Full;
            }
            seen.clear();
        }
        seen.insert(self.name(proof), (proof.key, proof.until));
        ReplayVerdict::New
    }
}

impl ReplayGuard for Guard {
    fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        let is_seen = self.is_seen(proof);
        if is_seen && self.fault != Fault::AcceptsAll {
            return Eventual::Now(Ok(ReplayVerdict::Replayed));
        }
        match self.fault {
            Fault::AcceptsAll => Eventual::Now(Ok(ReplayVerdict::New)),
            Fault::IsUnavailable => Eventual::Now(Err(Unavailable::new("the guard"))),
            Fault::ChecksThenAdds => {
                let (guard, proof) = (self.clone(), *proof);
                Eventual::later(async move {
                    tokio::task::yield_now().await;
                    Ok(guard.add(&proof))
                })
            }
            _ => Eventual::Now(Ok(self.add(proof))),
        }
    }
}

async fn check(fault: Fault) {
    let [total, per_key] = [TOTAL, PER_KEY].map(|number| NonZeroUsize::new(number).unwrap());
    replay_guard(ReplayCapacity::bounded(total, per_key), async || Guard::new(fault)).await;
}

#[tokio::test]
async fn naive_guard_without_a_fault_passes() {
    check(Fault::None).await;
}

#[tokio::test]
async fn each_wrong_guard_violates_its_rule() {
    let faults = [
        (Fault::AcceptsAll, "a proof is replayed at each further use"),
        (Fault::SeesIdsOnly, "proofs of two keys with one id are independent"),
        (Fault::SeesKeysOnly, "two proofs of one key with different ids are independent"),
        (Fault::MixesKeyAndId, "key and id of a proof are not interchangeable"),
        (Fault::ForgetsInTheLastSecond, "a proof stays replayed up to and including its last second"),
        (Fault::PurgesByTheLatestClock, "a clock that is set back makes no used proof new"),
        (Fault::ChecksThenAdds, "of 100 concurrent uses of a proof, exactly one is new"),
        (Fault::HasNoBound, "a full guard refuses new proofs"),
        (Fault::EvictsWhenFull, "a full guard refuses new proofs"),
        (Fault::KeepsExpired, "expired proofs are forgotten and make room"),
        (Fault::HasNoBoundOfKeys, "more than 3 proofs of one key are refused"),
        (Fault::CountsAllAsOneKey, "a guard has room for 5 proofs"),
        (Fault::IsUnavailable, "an implementation under test answers without an error"),
    ];
    for (fault, rule) in faults {
        assert_violated(fault, check(fault), rule).await;
    }
}
