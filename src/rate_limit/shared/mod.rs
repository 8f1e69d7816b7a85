//! Building blocks for rate limiters whose state is shared by many nodes.
//!
//! The algorithm is GCRA, the generic cell rate algorithm. The state of a key and a quota is one number, the theoretical
//! arrival time (TAT): the time at which the whole burst is available again. A request moves the TAT forward by one
//! emission interval for each unit of its cost, and is refused if the TAT would then be further in the future than the
//! burst tolerance, which is the emission interval times the burst.
//!
//! A shared limiter stores TATs in its store, under a name made of [`LimitKey::digest`](super::LimitKey::digest), an HMAC with a secret of the deployment, and
//! [`LimitRequest::ids`](super::LimitRequest::ids), and measures them with the store's clock. Two kinds of stores fit:
//!
//! - A store that runs the algorithm itself, such as Redis with a script, returns the time until each TAT.
//!   [`LimitState::status`] and [`LimitState::exceeded`] turn these into a decision.
//! - A store with transactions returns the stored TATs. [`LimitState::take`] computes the decision and the new TATs,
//!   which are written back in the same transaction.
//!
//! [`ExhaustedKeys`] then refuses callers without available units on the node itself, and
//! [`LocalRateLimiter::take_share`](super::LocalRateLimiter::take_share) decides while the store is unavailable.
//!
//! # Examples
//!
//! A limiter on a database with transactions:
//!
//! ```
//! use std::{
//!     collections::HashMap,
//!     num::NonZeroU32,
//!     sync::{Arc, Mutex, MutexGuard, TryLockError},
//!     time::Duration,
//! };
//! use tower_warden::{
//!     Eventual, Unavailable,
//!     rate_limit::{
//!         Decision, LimitKey, LimitRequest, LimitSecret, LocalRateLimiter, ManualStopwatch, MonotonicStopwatch, Quota, QuotaSet,
//!         RateLimiter, Stopwatch, nonzero,
//!         shared::{ExhaustedKeys, LimitState},
//!     },
//! };
//!
//! /// Stands for a database: a table of TATs, and the database's own clock.
//! #[derive(Default)]
//! struct Database {
//!     tats: Mutex<HashMap<(String, u64), Duration>>,
//!     clock: ManualStopwatch,
//! }
//!
//! struct DatabaseRateLimiter {
//!     database: Arc<Database>,
//!     secret: LimitSecret,
//!     exhausted: ExhaustedKeys,
//!     fallback: LocalRateLimiter,
//!     nodes: NonZeroU32,
//!     stopwatch: MonotonicStopwatch,
//! }
//!
//! impl RateLimiter for DatabaseRateLimiter {
//!     fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
//!         // No query for a caller that is known to have used up a quota.
//!         if let Some(exceeded) = self.exhausted.state(request, self.stopwatch.elapsed()).exceeded() {
//!             return Eventual::Now(Ok(Decision::Refused(exceeded)));
//!         }
//!         // The transaction; a real one is awaited, in `Eventual::later`.
//!         let mut tats = match self.database.tats.try_lock() {
//!             Ok(tats) => tats,
//!             Err(_) => return Eventual::Now(Ok(self.fallback.take_share(request, self.nodes))),
//!         };
//!         let now = self.database.clock.elapsed();
//!         let key = request.key.digest(&self.secret).to_hex();
//!         let names: Vec<_> = request.ids().map(|id| (key.clone(), id)).collect();
//!         let stored = names.iter().map(|name| tats.get(name).copied().unwrap_or_default());
//!         let mut state = LimitState::new(request, stored.map(|tat| tat.saturating_sub(now)));
//!         let decision = state.take();
//!         for (name, until_tat) in names.into_iter().zip(state.until_tats()) {
//!             tats.insert(name, now + until_tat);
//!         }
//!         self.exhausted.record(&state, self.stopwatch.elapsed());
//!         Eventual::Now(Ok(decision))
//!     }
//! }
//!
//! let database = Arc::<Database>::default();
//! let secret = LimitSecret::new(b"thirty-two random bytes, from a secret store")?;
//! let node = || DatabaseRateLimiter {
//!     secret: secret.clone(),
//!     database: Arc::clone(&database),
//!     exhausted: ExhaustedKeys::bounded(10_000),
//!     fallback: LocalRateLimiter::default(),
//!     nodes: nonzero(2),
//!     stopwatch: MonotonicStopwatch::default(),
//! };
//! let (one, other) = (node(), node());
//! let (key, quotas) = (LimitKey::default(), QuotaSet::from(Quota::per_day(2)));
//! let take = |node: &DatabaseRateLimiter| match node.take(&LimitRequest::new(&key, &quotas)) {
//!     Eventual::Now(Ok(decision)) => decision,
//!     _ => unreachable!("this database answers at once"),
//! };
//!
//! assert!(matches!(take(&one), Decision::Admitted(status) if status.remaining == 1));
//! assert!(matches!(take(&other), Decision::Admitted(status) if status.remaining == 0));
//! assert!(matches!(take(&one), Decision::Refused(_)));
//!
//! // While the database is unavailable, a node decides on its share of the quota, unless it knows that it is used up.
//! let transaction = database.tats.lock().expect("no thread has panicked");
//! assert!(matches!(take(&node()), Decision::Admitted(_)));
//! assert!(matches!(take(&one), Decision::Refused(_)));
//! # drop(transaction);
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```

pub use self::{exhausted::ExhaustedKeys, state::LimitState};

mod exhausted;
mod state;
