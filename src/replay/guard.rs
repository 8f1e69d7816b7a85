use std::{sync::Arc, time::Duration};

use crate::{Eventual, digest::Digest, error::Unavailable, time::UnixTime};

/// A proof that a request was made with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct UsedProof {
    /// The thumbprint of the key that made the proof.
    pub key: Digest,
    /// The digest of the proof's `jti`, which identifies it among the proofs of this key.
    pub id: Digest,
    /// The last second in which the proof is valid.
    pub until: UnixTime,
    /// The time of the request.
    pub now: UnixTime,
    /// The longest time for which a proof of this verifier can be valid. A guard bounds what it records by this time and a
    /// declared rate.
    pub window: Duration,
}

impl UsedProof {
    /// A used proof, whose window is the time for which it is still valid.
    #[must_use]
    pub const fn new(key: Digest, id: Digest, until: UnixTime, now: UnixTime) -> Self {
        let window = Duration::from_secs(until.as_secs().saturating_sub(now.as_secs()));
        Self { key, id, until, now, window }
    }

    /// Sets the longest time for which a proof of the same verifier can be valid.
    #[must_use]
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// A digest of key and id, which identifies the proof among those of all keys.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[*self.key.as_bytes(), *self.id.as_bytes()].concat())
    }
}

/// The result of recording a proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReplayVerdict {
    /// There is no room to record the proof: 503.
    Full,
    /// There is no room for another proof of this key: 429. Proofs of other keys are not affected.
    KeyFull,
    /// The proof was not recorded before, and is now.
    New,
    /// The proof was recorded before: 401.
    Replayed,
}

/// Records used proofs, so that each is accepted once.
///
/// # Examples
///
/// A guard on a store that many nodes share:
///
/// ```
/// use std::{collections::HashSet, io, sync::{Arc, Mutex}};
/// use tower_warden::{
///     Digest, Eventual, Unavailable, UnixTime,
///     replay::{ReplayGuard, ReplayVerdict, UsedProof},
/// };
///
/// /// A table with a unique column; here in memory.
/// #[derive(Clone, Default)]
/// struct Table(Arc<Mutex<HashSet<Digest>>>);
///
/// impl Table {
///     /// `INSERT … ON CONFLICT DO NOTHING`; returns whether a row was inserted.
///     async fn insert(&self, proof: Digest, delete_after: UnixTime) -> io::Result<bool> {
///         Ok(self.0.lock().expect("no thread panics with the lock").insert(proof))
///     }
/// }
///
/// struct TableReplayGuard(Table);
///
/// impl ReplayGuard for TableReplayGuard {
///     fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
///         let (table, digest, until) = (self.0.clone(), proof.digest(), proof.until);
///         Eventual::later(async move {
///             match table.insert(digest, until).await {
///                 Ok(true) => Ok(ReplayVerdict::New),
///                 Ok(false) => Ok(ReplayVerdict::Replayed),
///                 Err(error) => Err(Unavailable::new("the table of used proofs").because(error)),
///             }
///         })
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let guard = TableReplayGuard(Table::default());
/// let now = UnixTime::from_secs(1_800_000_000);
/// let proof = UsedProof::new(Digest::of(b"key"), Digest::of(b"jti"), UnixTime::from_secs(1_800_000_300), now);
/// assert_eq!(guard.record(&proof).wait().await?, ReplayVerdict::New);
/// assert_eq!(guard.record(&proof).wait().await?, ReplayVerdict::Replayed);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ReplayGuard: Send + Sync + 'static {
    /// Records a proof until it is no longer valid, and reports whether it was recorded before.
    ///
    /// This is one atomic step: of two concurrent requests with the same proof, one gets [`New`](ReplayVerdict::New).
    ///
    /// A recorded proof is replayed up to and including the second [`until`](UsedProof::until). A clock that is set back,
    /// or a request with an earlier [`now`](UsedProof::now), must not make a used proof new again. A guard that deletes
    /// the proofs that have expired by the time of a request therefore reports proofs that expired before the latest time
    /// of deletion as [`Replayed`](ReplayVerdict::Replayed). A guard whose records expire by another clock keeps them for
    /// longer than the proofs are valid, and documents the difference of the clocks that this allows.
    ///
    /// # Errors
    ///
    /// If the store does not answer; the request is refused with 503.
    fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>>;

    /// Records a proof as [`record`](Self::record) does, and reports after which time there is room again if the verdict is
    /// [`Full`](ReplayVerdict::Full) or [`KeyFull`](ReplayVerdict::KeyFull): the `Retry-After` of the refusal. By default, that
    /// is when everything that is recorded now has expired.
    ///
    /// # Errors
    ///
    /// If the store does not answer; the request is refused with 503.
    fn record_or_wait(&self, proof: &UsedProof) -> Eventual<Result<(ReplayVerdict, Duration), Unavailable>> {
        let wait = proof.window + Duration::from_secs(1);
        self.record(proof).map(move |verdict| Ok((verdict?, wait)))
    }
}

impl<G: ReplayGuard + ?Sized> ReplayGuard for Arc<G> {
    fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
        (**self).record(proof)
    }

    fn record_or_wait(&self, proof: &UsedProof) -> Eventual<Result<(ReplayVerdict, Duration), Unavailable>> {
        (**self).record_or_wait(proof)
    }
}
