use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tower_warden::{Digest, Eventual, Unavailable, UnixTime};

use super::{
    family::{FamilyStatus, FoundToken, RefreshFamily, Rotation, RotationOutcome},
    store::RefreshStore,
};

/// Families of refresh tokens in memory, shared by its clones.
///
/// It has room for 100 000 tokens by default, used ones included, at about 150 bytes each: the number of families times that
/// of the refreshes within their absolute lifetime. If there is no room, no token is issued: none is dropped before its
/// family expires. One family takes half of the room at most.
///
/// # Deployment caveat
///
/// The families are lost when the process ends: clients then need new tokens.
#[derive(Clone)]
pub struct MemoryRefreshStore {
    capacity: NonZeroUsize,
    shared: Arc<Mutex<Families>>,
}

/// Invariant: the tokens of each family are in `tokens`, and its expiry is in `expiries`.
#[derive(Default)]
struct Families {
    by_id: HashMap<Box<str>, Entry>,
    expiries: BTreeSet<(UnixTime, Box<str>)>,
    tokens: HashMap<Digest, (Box<str>, u64)>,
}

struct Entry {
    family: RefreshFamily,
    tokens: Vec<Digest>,
}

impl MemoryRefreshStore {
    /// A store with room for this many tokens.
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
    /// Removes expired families, and returns whether there is room for another token.
    fn has_room(&mut self, capacity: NonZeroUsize, now: UnixTime) -> bool {
        while let Some((expires_at, id)) = self.expiries.first().cloned()
            && expires_at <= now
        {
            self.expiries.remove(&(expires_at, id.clone()));
            let tokens = self.by_id.remove(&id).map(|entry| entry.tokens).unwrap_or_default();
            tokens.iter().for_each(|token| drop(self.tokens.remove(token)));
        }
        self.tokens.len() < capacity.get()
    }
}

impl RefreshStore for MemoryRefreshStore {
    fn begin(&self, family: RefreshFamily, token: Digest, now: UnixTime) -> Eventual<Result<(), Unavailable>> {
        let mut families = self.families();
        if !families.has_room(self.capacity, now) {
            return Eventual::Now(Err(FULL));
        }
        families.tokens.insert(token, (family.id.clone(), family.generation));
        families.expiries.insert((family.expires_at, family.id.clone()));
        families.by_id.insert(family.id.clone(), Entry { family, tokens: vec![token] });
        Eventual::Now(Ok(()))
    }

    fn find(&self, token: &Digest) -> Eventual<Result<Option<FoundToken>, Unavailable>> {
        let families = self.families();
        let found = families.tokens.get(token).and_then(|(id, number)| {
            families.by_id.get(id).map(|entry| FoundToken::new(entry.family.clone(), *number))
        });
        Eventual::Now(Ok(found))
    }

    fn revoke(&self, family_id: &str) -> Eventual<Result<(), Unavailable>> {
        if let Some(entry) = self.families().by_id.get_mut(family_id) {
            entry.family.status = FamilyStatus::Revoked;
        }
        Eventual::Now(Ok(()))
    }

    fn rotate(&self, rotation: Rotation) -> Eventual<Result<RotationOutcome, Unavailable>> {
        // Comparison and change are in one critical section.
        let mut families = self.families();
        families.has_room(self.capacity, rotation.now);
        let free = self.capacity.get().saturating_sub(families.tokens.len());
        let Families { by_id, tokens, .. } = &mut *families;
        let Some(entry) = by_id.get_mut(&rotation.family_id) else {
            return Eventual::Now(Ok(RotationOutcome::Missing));
        };
        let family = &mut entry.family;
        if family.generation != rotation.from || family.status == FamilyStatus::Revoked {
            return Eventual::Now(Ok(RotationOutcome::Lost(Box::new(family.clone()))));
        }
        // A family may have as many as are left free, so that one client does not take all of the room.
        if free == 0 || entry.tokens.len() > free {
            return Eventual::Now(Err(FULL));
        }
        family.generation += 1;
        (family.rotated_at, family.seed) = (rotation.now, Some(rotation.seed));
        entry.tokens.push(rotation.token);
        tokens.insert(rotation.token, (rotation.family_id, family.generation));
        Eventual::Now(Ok(RotationOutcome::Rotated))
    }
}

impl fmt::Debug for MemoryRefreshStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRefreshStore").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

const FULL: Unavailable = Unavailable::new("the store of refresh tokens, which is full,");
