//! The next key of a schedule, and the keys of other nodes.

use std::{sync::Arc, time::Duration};

use tower_warden::{ConfigError, Unavailable, UnixTime};

use super::{
    error::SigningKeysError,
    key::generate,
    keys::{SigningKeys, State},
    ring::{Entry, Ring},
    stored::{Storage, unavailable},
};

/// The checks of a store.
#[derive(Default)]
pub(super) struct Checks {
    /// `None` for keys that are not stored.
    at: Option<UnixTime>,
    /// The time of the last check, if it has failed.
    failed_at: Option<UnixTime>,
    version: u64,
}

/// The urgency of work that is due.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Due {
    /// One use begins it, and none waits for it: the last check has failed a short time ago, so this one may take long.
    Retry,
    /// One use does it, and others go on.
    Soon,
    /// All uses wait: the keys may have been replaced.
    Stale,
}

impl Checks {
    pub(super) fn new(version: u64, now: UnixTime) -> Self {
        Self { at: Some(now), version, ..Self::default() }
    }
}

impl State {
    /// Replaces the keys by a version that is stored.
    pub(super) fn install(&mut self, version: u64, ring: Ring, now: UnixTime) {
        self.ring.replace(ring);
        self.advance(now);
        (self.checks.at, self.checks.version) = (Some(now), version);
        self.recover();
    }

    /// Fails if the keys were not compared with the store for too long.
    pub(super) fn check_usable(&self, now: UnixTime) -> Result<(), Unavailable> {
        let is_usable = self.checks.at.is_none_or(|at| now < at + MAX_STALENESS);
        if is_usable { Ok(()) } else { Err(unavailable()) }
    }

    fn due(&self, now: UnixTime) -> Option<Due> {
        let has_failed_within =
            |age| self.checks.failed_at.is_some_and(|failed_at| failed_at <= now && now < failed_at + age);
        if has_failed_within(RETRY) {
            return None;
        }
        // Also if the clock was set back; a request may have read it a moment before the one that has checked.
        let is_older_than = |age| self.checks.at.is_some_and(|at| at + age <= now || now + INTERVAL < at);
        let next_is_due = || self.period.is_some_and(|period| self.ring.next(period, now).is_some());
        let due = match (is_older_than(STALE), is_older_than(INTERVAL)) {
            (true, _) => Due::Stale,
            (false, true) => Due::Soon,
            (false, false) => next_is_due().then_some(Due::Soon)?,
        };
        // Without a usable key, there is nothing to do but wait.
        Some(if has_failed_within(STALE) && self.check_usable(now).is_ok() { Due::Retry } else { due })
    }

    /// The time from which the next key of the schedule is to sign, if it is to be published now.
    fn next(&self, ring: &Ring, now: UnixTime) -> Option<UnixTime> {
        self.period.and_then(|period| ring.next(period, now))
    }

    /// Records a failure, which is logged once.
    fn fail(&mut self, error: &SigningKeysError, now: UnixTime) {
        if self.checks.failed_at.is_none() {
            tracing::error!(%error, "signing keys are not checked or rotated until this is solved; the loaded ones are used");
        }
        self.checks.failed_at = Some(now);
    }

    fn recover(&mut self) {
        if self.checks.failed_at.take().is_some() {
            tracing::info!("signing keys are checked and rotated again");
        }
    }
}

impl SigningKeys {
    /// Returns whether a use of the keys has to [prepare](Self::prepare) them.
    pub(super) fn is_due(&self, now: UnixTime) -> bool {
        self.state().due(now).is_some()
    }

    /// Loads the keys, or generates the next one, if that is due.
    ///
    /// It is done by a task, which is not aborted if the future is dropped: other uses do not begin it again.
    pub(super) async fn prepare(&self, now: UnixTime) {
        let due = self.state().due(now);
        let flight = Arc::clone(&self.0.flight);
        let flight = match due {
            None => return,
            Some(Due::Stale) => flight.lock_owned().await,
            // Another use does it.
            Some(Due::Retry | Due::Soon) => match flight.try_lock_owned() {
                Ok(flight) => flight,
                Err(_) => return,
            },
        };
        // The one before has done it.
        if !self.is_due(now) {
            return;
        }
        let keys = self.clone();
        let work = tokio::spawn(async move {
            let outcome = match &keys.0.storage {
                Some(storage) => keys.synchronize(storage, now).await,
                None => keys.generate_next(now).await.map_err(Into::into),
            };
            match outcome {
                Ok(()) => keys.state().recover(),
                Err(error) => keys.state().fail(&error, now),
            }
            drop(flight);
        });
        if due != Some(Due::Retry) {
            // A panic: the next use begins again.
            drop(work.await);
        }
    }

    /// Generates the next key of this process.
    async fn generate_next(&self, now: UnixTime) -> Result<(), ConfigError> {
        let algorithm = self.algorithm(now);
        let key = generate(algorithm).await?;
        let mut state = self.state();
        // Another key may have been published in the meantime.
        if let Some(signs_from) = state.next(&state.ring, now) {
            state.ring.0.push(Entry { key, signs_from: Some(signs_from) });
        }
        Ok(())
    }

    /// Loads the keys of other nodes, and adds the next one of the schedule if none of them has.
    async fn synchronize(&self, storage: &Storage, now: UnixTime) -> Result<(), SigningKeysError> {
        let (version, ring) = self.fetch(storage).await?;
        let (mut ring, next) = {
            let mut state = self.state();
            state.install(version, ring, now);
            (state.ring.clone(), state.next(&state.ring, now))
        };
        let Some(signs_from) = next else { return Ok(()) };
        let key = generate(storage.algorithm).await?;
        let kid = key.kid().to_owned();
        ring.0.push(Entry { key, signs_from: Some(signs_from) });
        if storage.replace(version + 1, &ring).await? {
            tracing::info!(kid, %signs_from, "the next signing key is published");
            self.state().install(version + 1, ring, now);
        } else {
            // Another node was first.
            let (version, ring) = self.fetch(storage).await?;
            self.state().install(version, ring, now);
        }
        Ok(())
    }

    /// Loads the keys, unless this version is loaded already. An older one is refused: it may have keys that were withdrawn.
    pub(super) async fn fetch(&self, storage: &Storage) -> Result<(u64, Ring), SigningKeysError> {
        let encrypted = storage.load().await?;
        let (version, ring) = {
            let state = self.state();
            (state.checks.version, state.ring.clone())
        };
        match encrypted.version.cmp(&version) {
            std::cmp::Ordering::Equal => Ok((version, ring)),
            std::cmp::Ordering::Greater => Ok((encrypted.version, storage.decrypt(&encrypted)?.0)),
            std::cmp::Ordering::Less => {
                let message = "the stored signing keys are an older version than those in use; start the issuer again to use \
                     them";
                Err(ConfigError::custom(message).value(&storage.issuer).into())
            }
        }
    }
}

/// The time after which a use checks the store.
const INTERVAL: Duration = Duration::from_secs(30);

/// The time after which all uses wait for a check: half of the time for which a key is published before it signs.
const STALE: Duration = Duration::from_secs(300);

/// The time without a check after which no key is used.
const MAX_STALENESS: Duration = Duration::from_secs(24 * 3600);

/// The time from the begin of a check that fails to the next one. Longer than an access to the store may take.
const RETRY: Duration = Duration::from_secs(10);
