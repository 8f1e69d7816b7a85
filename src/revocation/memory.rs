//! Revocations of one node.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    num::NonZeroUsize,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    error::{RevocationError, RevocationErrorKind},
    list::RevocationList,
    name::{NameKind, RevocationName},
    revoked::Revocation,
};
use crate::{
    Eventual,
    caller::Identity,
    environment::Environment,
    error::Unavailable,
    time::{Clock, SystemClock, UnixTime},
};

/// A revocation list in memory, shared by its clones.
///
/// 1. A revocation is stored until the credentials that it names have expired, and for [`Revocation::GRACE`] after
///    that. If the clock is set back after it was removed, or after it was refused as expired, all credentials that had
///    expired then are refused.
/// 2. The capacity is 100 000 revocations by default. Further ones are refused with an error: none is dropped silently.
/// 3. A query does not allocate, and is two atomic loads while the list is empty.
///
/// # Deployment caveat
///
/// The list is local to the process and empty at its start: revoke on each node, and again after a restart.
///
/// # Examples
///
/// ```
/// use std::{num::NonZeroUsize, time::Duration};
/// use tower_warden::{
///     AuthMethod, Environment, Eventual, Identity, ManualClock, UnixTime,
///     revocation::{MemoryRevocationList, Revocation, RevocationErrorKind, RevocationList},
/// };
///
/// let now = UnixTime::from_secs(1_800_000_000);
/// let environment = Environment::default().with_clock(ManualClock::at(now));
/// let list = MemoryRevocationList::new(NonZeroUsize::MIN).environment(&environment);
/// list.revoke(Revocation::subject("https://auth.example.com", "alice", now), now + Duration::from_secs(3600))?;
///
/// let mut alice = Identity::new("alice", AuthMethod::Jwt);
/// alice.issuer = Some("https://auth.example.com".into());
/// assert!(matches!(list.is_revoked(&alice), Eventual::Now(Ok(true))), "the time of issue is unknown");
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
    #[cfg(feature = "audit")]
    observer: Option<Arc<dyn crate::notice::Observer>>,
    shared: Arc<Shared>,
}

struct Shared {
    capacity: NonZeroUsize,
    /// The number of entries, to answer queries of an empty list without the lock. It is updated before the lock is
    /// released, so a query that starts after `revoke` has returned sees the entry.
    count: AtomicUsize,
    entries: RwLock<Entries>,
    /// The latest time, in seconds, by which credentials have expired whose revocation was removed, or was not stored:
    /// after the clock was set back, they would seem valid.
    removed_until: AtomicU64,
}

/// Invariant: `by_name`, `by_expiry`, and for subjects `issuers`, hold the same entries. Every change is made to all of
/// them under the write lock.
#[derive(Default)]
struct Entries {
    /// One map for each kind of name, so that unused kinds cost nothing.
    by_name: [HashMap<RevocationName<'static>, Entry>; NameKind::COUNT],
    /// All entries, in the order of their expiry.
    by_expiry: BTreeSet<(UnixTime, RevocationName<'static>)>,
    /// The issuers of each revoked subject: an API key of that owner is covered by all of them.
    issuers: HashMap<Box<str>, Vec<Box<str>>>,
}

#[derive(Clone, Copy)]
struct Entry {
    expires_at: UnixTime,
    issued_until: UnixTime,
}

impl Shared {
    /// Refuses credentials whose revocations up to this end are not stored: the clock may be ahead.
    fn remove_until(&self, expired_at: UnixTime) {
        let until = expired_at.as_secs().saturating_sub(Revocation::GRACE.as_secs());
        self.removed_until.fetch_max(until, Ordering::Release);
    }
}

impl MemoryRevocationList {
    /// Creates a list that holds up to `capacity` revocations.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        let shared = Shared {
            capacity,
            count: AtomicUsize::new(0),
            entries: RwLock::default(),
            removed_until: AtomicU64::new(0),
        };
        Self {
            clock: Arc::new(SystemClock),
            #[cfg(feature = "audit")]
            observer: None,
            shared: Arc::new(shared),
        }
    }

    /// Sets the clock of this handle, and of later clones of it: the machine's clock by default.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        #[cfg(feature = "audit")]
        {
            self.observer = environment.observer();
        }
        self
    }

    /// Revokes at once.
    ///
    /// `until` is the time at which the last of the named credentials expires:
    /// [`Identity::expires_at`], plus [`Identity::skew`] if that is more than five minutes. `None`, if it is not known,
    /// stands for the [default](Revocation::default_end). Revoking again extends the stored revocation to the later time
    /// and to all credentials that either revocation covers.
    ///
    /// # Errors
    ///
    /// If the list is full, the name is too long, is empty or lacks an issuer, or the named credentials have expired. Nothing is
    /// stored then.
    pub fn revoke(&self, revocation: Revocation, until: impl Into<Option<UnixTime>>) -> Result<(), RevocationError> {
        revocation.ensure_storable()?;
        let now = self.clock.now();
        let expires_at = until.into().unwrap_or_else(|| revocation.default_end(now)) + Revocation::GRACE;
        let (name, issued_until) = revocation.into_parts();
        #[cfg(feature = "audit")]
        let notice = self.observer.as_ref().map(|_| name.notice(crate::notice::ChangeOutcome::Done));
        if expires_at <= now {
            self.shared.remove_until(expires_at);
            return Err(RevocationError::new(RevocationErrorKind::Expired));
        }
        let mut entries = self.shared.entries.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(expired_at) = entries.purge(now) {
            self.shared.remove_until(expired_at);
        }
        let outcome = entries.put(name, Entry { expires_at, issued_until }, self.shared.capacity);
        self.shared.count.store(entries.by_expiry.len(), Ordering::Release);
        drop(entries);
        #[cfg(feature = "audit")]
        if let (Ok(()), Some(observer), Some(notice)) = (&outcome, &self.observer, notice) {
            observer.observe(notice);
        }
        outcome
    }

    /// The number of stored revocations. Expired ones are removed by the next [`revoke`](Self::revoke).
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.count.load(Ordering::Acquire)
    }

    /// Returns `true` if no revocation is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl RevocationList for MemoryRevocationList {
    fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
        let removed_until = self.shared.removed_until.load(Ordering::Acquire);
        let may_be_removed = identity.expires_at.is_some_and(|end| end.as_secs() <= removed_until);
        let is_listed = || {
            let entries = self.shared.entries.read().unwrap_or_else(PoisonError::into_inner);
            entries.cover(identity)
        };
        Eventual::Now(Ok(may_be_removed || !self.is_empty() && is_listed()))
    }
}

/// A capacity of 100 000 revocations.
impl Default for MemoryRevocationList {
    fn default() -> Self {
        Self::new(const { NonZeroUsize::new(100_000).expect("the capacity is not zero") })
    }
}

impl fmt::Debug for MemoryRevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRevocationList").field("revocations", &self.len()).finish_non_exhaustive()
    }
}

impl Entries {
    /// Returns `true` if an entry covers the identity.
    fn cover(&self, identity: &Identity) -> bool {
        let covers = |entry: Entry| identity.issued_at.is_none_or(|at| at <= entry.issued_until);
        RevocationName::all_of(identity).any(|name| {
            self.get(&name).is_some_and(covers)
                || (name.kind() == NameKind::Owner && self.get_subjects(name.id()).any(covers))
        })
    }

    /// The entries of subjects with this name, of all issuers.
    fn get_subjects<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = Entry> + 'a {
        let issuers = self.issuers.get(subject).into_iter().flatten();
        issuers.filter_map(move |issuer| self.get(&RevocationName::of_subject(issuer, subject)))
    }

    fn get<'a>(&self, name: &RevocationName<'a>) -> Option<Entry> {
        // Covariance: the map of owned names is used as a map of names with the lifetime of the queried one, so that
        // nothing is copied.
        let entries: &HashMap<RevocationName<'a>, Entry> = &self.by_name[name.kind() as usize];
        entries.get(name).copied()
    }

    /// Adds an entry, or extends the stored one.
    fn put(
        &mut self,
        name: RevocationName<'static>,
        new: Entry,
        capacity: NonZeroUsize,
    ) -> Result<(), RevocationError> {
        let stored = self.get(&name);
        if stored.is_none() && self.by_expiry.len() >= capacity.get() {
            return Err(RevocationError::new(RevocationErrorKind::Full));
        }
        let extended = stored.map_or(new, |stored| Entry {
            expires_at: new.expires_at.max(stored.expires_at),
            issued_until: new.issued_until.max(stored.issued_until),
        });
        if let Some(stored) = stored {
            self.by_expiry.remove(&(stored.expires_at, name.clone()));
        } else if name.kind() == NameKind::Subject {
            self.issuers.entry(name.id().into()).or_default().push(name.issuer().into());
        }
        self.by_expiry.insert((extended.expires_at, name.clone()));
        self.by_name[name.kind() as usize].insert(name, extended);
        Ok(())
    }

    /// Removes expired entries, and returns the latest expiry of those.
    fn purge(&mut self, now: UnixTime) -> Option<UnixTime> {
        let mut latest = None;
        while self.by_expiry.first().is_some_and(|(expires_at, _)| *expires_at <= now)
            && let Some((expires_at, name)) = self.by_expiry.pop_first()
        {
            self.by_name[name.kind() as usize].remove(&name);
            if name.kind() == NameKind::Subject
                && let Some(issuers) = self.issuers.get_mut(name.id())
            {
                issuers.retain(|issuer| **issuer != *name.issuer());
                if issuers.is_empty() {
                    self.issuers.remove(name.id());
                }
            }
            latest = Some(expires_at);
        }
        latest
    }
}
