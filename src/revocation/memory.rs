//! Revocations of one node.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    error::{RevocationError, RevocationErrorKind},
    list::RevocationList,
    name::{Kind, Name, Revocation},
};
use crate::{
    Eventual,
    caller::Identity,
    environment::Environment,
    error::Unavailable,
    time::{Clock, SystemClock, UnixTime},
};

/// So much longer than told a revocation stands: half of it for issuers' clocks, by [`skew`](Identity::skew), and half
/// because a request that came before the end may be decided a while after it.
pub(super) const GRACE: Duration = Duration::from_secs(600);

/// The longest issuer and id, together, in bytes.
pub(super) const LONGEST: usize = 1024;

/// A list in memory, shared by its clones; it is empty when the process begins.
///
/// 1. Each revocation stands until the credentials it names have ended, and ten minutes more for clocks that differ.
///    Then it is purged.
/// 2. It holds as many as it was made for, 100 000 by default, and refuses further ones: none is dropped in silence.
/// 3. To ask it costs no allocation, and no more than one load while it is empty.
///
/// # Deployment caveat
///
/// Other nodes and later processes do not hear of it: revoke on each node, and again after a start.
///
/// ```
/// use std::{num::NonZeroUsize, time::Duration};
/// use tower_warden::{
///     AuthMethod, Eventual, Identity, ManualClock, UnixTime,
///     revocation::{MemoryRevocationList, Revocation, RevocationErrorKind, RevocationList},
/// };
///
/// let now = UnixTime::from_secs(1_800_000_000);
/// let list = MemoryRevocationList::new(NonZeroUsize::MIN).environment(&Environment::default().with_clock(ManualClock::at(now)));
/// list.revoke(Revocation::subject("https://auth.example.com", "alice", now), now + Duration::from_secs(3600))?;
///
/// let mut alice = Identity::new("alice", AuthMethod::Jwt);
/// alice.issuer = Some("https://auth.example.com".into());
/// assert!(matches!(list.is_revoked(&alice), Eventual::Now(Ok(true))), "who knows when it was issued");
/// alice.issued_at = Some(now + Duration::from_secs(1));
/// assert!(matches!(list.is_revoked(&alice), Eventual::Now(Ok(false))));
///
/// let refused = list.revoke(Revocation::token("https://auth.example.com", "4711"), now).unwrap_err();
/// assert_eq!(refused.kind(), RevocationErrorKind::Full);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemoryRevocationList {
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
}

struct Shared {
    capacity: NonZeroUsize,
    /// How many entries there are, for those who ask an empty list.
    count: AtomicUsize,
    entries: RwLock<Entries>,
}

#[derive(Default)]
struct Entries {
    /// By the kind of their name, so that kinds which are not in use cost nothing.
    named: [HashMap<Name<'static>, Entry>; Kind::COUNT],
    /// Every entry, the one that ends first in front.
    ends: BTreeSet<(UnixTime, Name<'static>)>,
}

#[derive(Clone, Copy)]
struct Entry {
    end: UnixTime,
    issued_until: UnixTime,
}

impl MemoryRevocationList {
    /// Holds as many revocations.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        let shared = Shared { capacity, count: AtomicUsize::new(0), entries: RwLock::default() };
        Self { clock: Arc::new(SystemClock), shared: Arc::new(shared) }
    }

    /// Sets the clock of this handle, and of clones made of it later: that of the machine by default.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }

    /// Revokes, at once; `until` is when the last of the credentials it names has ended: at its
    /// [`expires_at`](Identity::expires_at), to which a [`skew`](Identity::skew) of more than five minutes is to be added.
    ///
    /// What is revoked again stays revoked for the longer of the two times, and with all that the two name.
    ///
    /// # Errors
    ///
    /// If it does not fit, or has ended already. Then nothing is revoked, and what was before still is.
    pub fn revoke(&self, revocation: Revocation, until: UnixTime) -> Result<(), RevocationError> {
        let Revocation { name, issued_until } = revocation;
        if name.len() > LONGEST {
            return Err(RevocationError::new(RevocationErrorKind::TooLong));
        }
        let (now, end) = (self.clock.now(), until + GRACE);
        if end <= now {
            return Err(RevocationError::new(RevocationErrorKind::Ended));
        }
        let mut entries = self.shared.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.purge(now);
        let outcome = entries.put(name, Entry { end, issued_until }, self.shared.capacity);
        self.shared.count.store(entries.ends.len(), Ordering::Release);
        outcome
    }

    /// How many revocations it holds, with those that have ended since it last revoked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.count.load(Ordering::Acquire)
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl RevocationList for MemoryRevocationList {
    fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
        let is_revoked = !self.is_empty() && {
            let entries = self.shared.entries.read().unwrap_or_else(PoisonError::into_inner);
            entries.name(identity)
        };
        Eventual::Now(Ok(is_revoked))
    }
}

/// Holds 100 000.
impl Default for MemoryRevocationList {
    fn default() -> Self {
        Self::new(const { NonZeroUsize::new(100_000).expect("it is not zero") })
    }
}

impl fmt::Debug for MemoryRevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRevocationList").field("revocations", &self.len()).finish_non_exhaustive()
    }
}

impl Entries {
    /// Whether an entry names the identity.
    fn name(&self, identity: &Identity) -> bool {
        Name::all_of(identity).any(|name| {
            self.entry(&name).is_some_and(|entry| identity.issued_at.is_none_or(|at| at <= entry.issued_until))
        })
    }

    fn entry<'a>(&self, name: &Name<'a>) -> Option<Entry> {
        // The map of owned names is one of names that live as long as the one asked for, so nothing is copied.
        let named: &HashMap<Name<'a>, Entry> = &self.named[name.kind as usize];
        named.get(name).copied()
    }

    /// Adds an entry, or widens the one that is there.
    fn put(&mut self, name: Name<'static>, new: Entry, capacity: NonZeroUsize) -> Result<(), RevocationError> {
        let known = self.entry(&name);
        if known.is_none() && self.ends.len() >= capacity.get() {
            return Err(RevocationError::new(RevocationErrorKind::Full));
        }
        let widest = known.map_or(new, |known| Entry {
            end: new.end.max(known.end),
            issued_until: new.issued_until.max(known.issued_until),
        });
        if let Some(known) = known {
            self.ends.remove(&(known.end, name.clone()));
        }
        self.ends.insert((widest.end, name.clone()));
        self.named[name.kind as usize].insert(name, widest);
        Ok(())
    }

    fn purge(&mut self, now: UnixTime) {
        while self.ends.first().is_some_and(|(end, _)| *end <= now)
            && let Some((_, name)) = self.ends.pop_first()
        {
            self.named[name.kind as usize].remove(&name);
        }
    }
}
