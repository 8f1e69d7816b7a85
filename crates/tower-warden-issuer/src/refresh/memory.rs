use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tower_warden::{Eventual, Unavailable, UnixTime};

use super::{
    family::{FamilyStatus, RefreshFamily, Rotation, RotationOutcome},
    store::RefreshStore,
};

/// Families of refresh tokens in memory, shared by its clones.
///
/// It has room for 100 000 families by default, at about 700 bytes each, however often their tokens are used. If there is no
/// room, no token is issued: no family is dropped before it expires. A client has at most a hundredth of the room for one
/// subject, and ten families at least, so that an agent that logs in all the time takes no room from others. A revoked family
/// takes room for an hour after it was last used.
///
/// # Deployment caveat
///
/// The families are lost when the process ends: clients then need new tokens. `tower-warden-sql` has a store for several
/// nodes.
#[derive(Clone)]
pub struct MemoryRefreshStore {
    capacity: NonZeroUsize,
    shared: Arc<Mutex<Families>>,
}

/// Invariant: `idle_until` of each family is in `expiries`, and each family is counted.
#[derive(Default)]
struct Families {
    by_id: HashMap<Box<str>, RefreshFamily>,
    /// The number of families of a client for a subject.
    counts: HashMap<(Box<str>, Box<str>), usize>,
    expiries: BTreeSet<(UnixTime, Box<str>)>,
}

impl MemoryRefreshStore {
    /// A store with room for this many families.
    ///
    /// In one with room for fewer than 1 000, a client has at most ten families for one subject.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self { capacity, shared: Arc::default() }
    }

    fn families(&self) -> MutexGuard<'_, Families> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryRefreshStore {
    fn default() -> Self {
        const CAPACITY: NonZeroUsize = NonZeroUsize::new(100_000).expect("not zero");
        Self::new(CAPACITY)
    }
}

impl Families {
    fn remove_expired(&mut self, now: UnixTime) {
        while self.expiries.first().is_some_and(|(idle_until, _)| *idle_until <= now)
            && let Some((_, id)) = self.expiries.pop_first()
        {
            self.remove(&id);
        }
    }

    fn remove(&mut self, id: &str) {
        let Some(family) = self.by_id.remove(id) else { return };
        if let Entry::Occupied(mut count) = self.counts.entry((family.client_id, family.subject)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        self.expiries.remove(&(family.idle_until, family.id));
    }

    fn count(&self, family: &RefreshFamily) -> usize {
        self.counts.get(&(family.client_id.clone(), family.subject.clone())).copied().unwrap_or_default()
    }

    fn insert(&mut self, family: RefreshFamily) {
        self.remove(&family.id);
        *self.counts.entry((family.client_id.clone(), family.subject.clone())).or_default() += 1;
        self.expiries.insert((family.idle_until, family.id.clone()));
        self.by_id.insert(family.id.clone(), family);
    }
}

impl RefreshStore for MemoryRefreshStore {
    fn begin(&self, family: RefreshFamily, now: UnixTime) -> Eventual<Result<(), Unavailable>> {
        let mut families = self.families();
        families.remove_expired(now);
        let share = (self.capacity.get() / 100).max(MIN_SHARE);
        if families.by_id.len() >= self.capacity.get() {
            return Eventual::Now(Err(FULL));
        }
        if families.count(&family) >= share {
            return Eventual::Now(Err(SHARE_USED));
        }
        families.insert(family);
        Eventual::Now(Ok(()))
    }

    fn find(&self, family_id: &str) -> Eventual<Result<Option<RefreshFamily>, Unavailable>> {
        Eventual::Now(Ok(self.families().by_id.get(family_id).cloned()))
    }

    fn revoke(&self, family_id: &str) -> Eventual<Result<(), Unavailable>> {
        let mut families = self.families();
        if let Some(family) = families.by_id.get(family_id) {
            let idle_until = family.idle_until.min(family.rotated_at + KEPT_REVOKED);
            let revoked = RefreshFamily { idle_until, status: FamilyStatus::Revoked, ..family.clone() };
            families.insert(revoked);
        }
        Eventual::Now(Ok(()))
    }

    fn rotate(&self, rotation: Rotation) -> Eventual<Result<RotationOutcome, Unavailable>> {
        // Comparison and change are in one critical section.
        let mut families = self.families();
        let Some(family) = families.by_id.get(&rotation.family_id) else {
            return Eventual::Now(Ok(RotationOutcome::Missing));
        };
        Eventual::Now(Ok(match rotation.apply(family) {
            Some(rotated) => {
                families.insert(rotated);
                RotationOutcome::Rotated
            }
            None => RotationOutcome::Lost(Box::new(family.clone())),
        }))
    }
}

impl fmt::Debug for MemoryRefreshStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRefreshStore").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

/// The time for which a revoked family is kept after its last rotation. No access token of it is valid for longer.
const KEPT_REVOKED: Duration = Duration::from_secs(3600);

/// The families that a client may have for one subject in a store that is small.
const MIN_SHARE: usize = 10;

const FULL: Unavailable = Unavailable::new("the store of refresh tokens, which is full,");

const SHARE_USED: Unavailable =
    Unavailable::new("the room that a client has for one subject in the store of refresh tokens, which is full,");
