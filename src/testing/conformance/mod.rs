//! Conformance suites: the rules that custom stores, limiters, lists and guards must follow.
//!
//! Each suite is an async function for a test. It calls a factory for a new and empty instance before each rule, and
//! panics at the first rule that is violated, with a text that states the rule.
//!
//! | suite | rules of |
//! |---|---|
//! | `key_store`, `key_store_changes` | `KeyStore`, with the feature `api-key` |
//! | `key_store_management`, `key_store_management_changes` | `append`, `update` and `purge` of `KeyStore`, which have defaults |
//! | `rate_limiter` | `RateLimiter`, with the feature `rate-limit` |
//! | [`revocation_list`] | [`RevocationList`](crate::revocation::RevocationList) |
//! | [`replay_guard`] | [`ReplayGuard`](crate::replay::ReplayGuard) |
//!
//! Run them on a runtime with several threads: calls that are made at once then overlap, also in implementations that
//! never wait. The suites spawn tasks, and some of them use tokio's timer.
//!
//! # Examples
//!
//! A custom replay guard, and its test. In a test module, `main` would be an `async fn` with
//! `#[tokio::test(flavor = "multi_thread")]`.
//!
//! ```
//! use std::{
//!     collections::HashSet,
//!     sync::{Mutex, PoisonError},
//! };
//! use tower_warden::{
//!     Digest, Eventual, Unavailable,
//!     replay::{ReplayGuard, ReplayVerdict, UsedProof},
//!     testing::conformance::{ReplayCapacity, replay_guard},
//! };
//!
//! #[derive(Default)]
//! struct CustomGuard(Mutex<HashSet<Digest>>);
//!
//! impl ReplayGuard for CustomGuard {
//!     fn record(&self, proof: &UsedProof) -> Eventual<Result<ReplayVerdict, Unavailable>> {
//!         let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
//!         let is_new = seen.insert(proof.digest());
//!         Eventual::Now(Ok(if is_new { ReplayVerdict::New } else { ReplayVerdict::Replayed }))
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() {
//!     replay_guard(ReplayCapacity::Unbounded, async || CustomGuard::default()).await;
//! }
//! ```
//!
//! A store with a server or a file is made empty by the factory, for example with a name that occurs once:
//!
//! ```
//! # #[cfg(feature = "api-key")] mod example {
//! use std::{io, path::Path, sync::atomic::{AtomicU32, Ordering}};
//! # use tower_warden::api_key::MemoryKeyStore;
//! use tower_warden::testing::conformance::{key_store, key_store_changes};
//! # struct FileKeyStore;
//! # impl FileKeyStore {
//! #     async fn open(_: impl AsRef<Path>) -> io::Result<MemoryKeyStore> { Ok(MemoryKeyStore::default()) }
//! # }
//!
//! # pub
//! async fn file_store_conforms(directory: &Path) {
//!     let number = AtomicU32::new(0);
//!     let make = async || {
//!         let name = format!("{}.keys", number.fetch_add(1, Ordering::Relaxed));
//!         FileKeyStore::open(directory.join(name)).await.expect("the directory is writable")
//!     };
//!     key_store(make).await;
//!     key_store_changes(make).await;
//! }
//! # }
//! # #[cfg(feature = "api-key")]
//! # tokio::runtime::Runtime::new()?.block_on(example::file_store_conforms("unused".as_ref()));
//! # Ok::<(), std::io::Error>(())
//! ```

use std::{fmt, sync::Arc};

use tokio::{sync::Barrier, task::JoinSet};

#[cfg(feature = "api-key")]
pub use self::key_store::{key_store, key_store_changes, key_store_management, key_store_management_changes};
#[cfg(feature = "rate-limit")]
pub use self::rate_limiter::{LimiterTime, rate_limiter};
pub use self::{
    replay_guard::{ReplayCapacity, replay_guard},
    revocation_entry::{RevocationEntry, RevokedBy},
    revocation_list::revocation_list,
};

#[cfg(feature = "api-key")]
mod key_store;
#[cfg(feature = "rate-limit")]
mod rate_limiter;
mod replay_guard;
mod revocation_entry;
mod revocation_list;

/// The value of an answer. In a conformance test, whatever an implementation depends on is available.
fn answered<T, E: fmt::Debug>(answer: Result<T, E>) -> T {
    answer.unwrap_or_else(|error| panic!("an implementation under test answers without an error: {error:?}"))
}

/// Runs tasks that begin at once, and returns their results in no particular order.
async fn at_once<T, F>(tasks: impl IntoIterator<Item = F, IntoIter: ExactSizeIterator>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks = tasks.into_iter();
    let (barrier, mut running) = (Arc::new(Barrier::new(tasks.len())), JoinSet::new());
    for task in tasks {
        let barrier = Arc::clone(&barrier);
        running.spawn(async move {
            barrier.wait().await;
            task.await
        });
    }
    running.join_all().await
}
