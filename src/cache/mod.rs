//! A cache from which a revoked credential is never returned.
//!
//! A look-up in flight may have read a key as active before the key was revoked, and may store it after. Deleting the entry
//! at the time of the revocation would therefore not be enough, and nothing is deleted. Instead, every entry carries the
//! *generation* at which its look-up began; a revocation begins a new generation and leaves a *tombstone* with it; and on
//! each hit, an entry is valid only if it is not older than the tombstone of its tag. So no entry that was read before a
//! revocation is returned after it, whenever it was stored. [`Generations`](generations::Generations) states why.
//!
//! 1. Values and refusals have separate bounds, because any client can produce refusals: a flood of made-up credentials evicts
//!    other refusals and no valid credential.
//! 2. At most one look-up per key is in flight. Other requests for the key wait for it, and it continues as long as one of
//!    them waits ([`InFlight`](in_flight::InFlight)).
//! 3. In front of the values is a small cache for each thread, which finds a credential by its
//!    [fingerprint](fingerprint::Fingerprint). Its entries carry the same generations and are checked in the same place
//!    ([`PerThread`](per_thread::PerThread)).
//! 4. Failures are not cached. No entry is returned past its lifetime, which begins before its look-up, by the clock and by
//!    its [steady](crate::Clock::steady) time.
//! 5. The capacity of values is one of memory: a value of more than 4 KiB takes the place of several.

pub(crate) use self::lookup::CachedLookup;
pub(crate) use self::{
    credential_cache::{CredentialCache, Limits},
    outcome::{Failure, Outcome, Tagged},
};

mod credential_cache;
mod fingerprint;
mod generations;
mod in_flight;
mod lookup;
mod outcome;
mod per_thread;
mod reason;
