use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock, Weak},
    time::Duration,
};

use tokio::task::AbortHandle;
use tower_warden::{Clock, Eventual, UnixTime};

use super::{
    builder::ScopedKeysBuilder,
    declaration::{KeyDeclaration, Rotation},
    key::ServiceKey,
};
use crate::secret::{Changes, Secret, SecretError, SecretErrorKind, SecretSource, Versioned};

/// The API keys of a client, one for each service. See the [module docs](super).
///
/// It is cheap to clone; clones share the keys.
#[derive(Clone)]
pub struct ScopedKeys(pub(super) Arc<Inner>);

pub(super) struct Inner {
    source: Arc<dyn SecretSource>,
    slots: RwLock<Vec<Slot>>,
    warn_before: Duration,
    clock: Arc<dyn Clock>,
    task: OnceLock<AbortHandle>,
}

/// A declaration and its key.
pub(super) struct Slot {
    pub(super) declaration: KeyDeclaration,
    key: ServiceKey,
    warned_at: Option<UnixTime>,
}

impl ScopedKeys {
    /// Returns a builder for keys of this source.
    pub fn builder(source: impl SecretSource) -> ScopedKeysBuilder {
        ScopedKeysBuilder::new(Arc::new(source))
    }

    /// The key of a service; `None` if none is declared.
    #[must_use]
    pub fn get(&self, service: &str) -> Option<ServiceKey> {
        self.0
            .read(|slots| slots.iter().find(|slot| &*slot.declaration.service == service).map(|slot| slot.key.clone()))
    }

    /// The keys whose rotation is due within the [time of the warning](ScopedKeysBuilder::warn_before), or overdue, in the
    /// order of their declaration.
    #[must_use]
    pub fn needs_rotation(&self) -> Vec<ServiceKey> {
        let now = self.0.clock.now();
        self.0.read(|slots| {
            let due = slots.iter().filter(|slot| slot.needs_rotation(now, self.0.warn_before));
            due.map(|slot| slot.key.clone()).collect()
        })
    }

    /// Logs a warning for each key that [needs a rotation](Self::needs_rotation), at most once a day for each.
    pub fn warn_of_rotations(&self) {
        let now = self.0.clock.now();
        self.0.write(|slots| {
            for slot in slots.iter_mut().filter(|slot| slot.needs_rotation(now, self.0.warn_before)) {
                slot.warn_of_rotation(now);
            }
        });
    }

    /// Reads all keys again. A rotated key replaces the one before, and its rotation period begins.
    ///
    /// # Errors
    ///
    /// If a key cannot be read, or does not have the declared form: the one before remains in use. The other keys are read
    /// nevertheless, and the first error is returned.
    pub async fn refresh(&self) -> Result<(), SecretError> {
        let variables =
            self.0.read(|slots| slots.iter().map(|slot| slot.declaration.variable.clone()).collect::<Vec<_>>());
        let mut result = Ok(());
        for (index, variable) in variables.iter().enumerate() {
            result = result.and(self.read_again(index, variable).wait().await);
        }
        result
    }

    /// The place of the key of a service. It never changes, because the slots are those of the builder.
    pub(super) fn position(&self, service: &str) -> Option<usize> {
        self.0.read(|slots| slots.iter().position(|slot| &*slot.declaration.service == service))
    }

    /// The key at a [`position`](Self::position).
    pub(super) fn at(&self, index: usize) -> ServiceKey {
        self.0.read(|slots| slots[index].key.clone())
    }

    /// Reads one key again.
    pub(super) fn read_again(&self, index: usize, variable: &str) -> Eventual<Result<(), SecretError>> {
        let inner = Arc::clone(&self.0);
        self.0.source.get(variable).map(move |read| {
            let value = read?;
            // For each request, and mostly nothing new.
            if inner.read(|slots| slots[index].key.secret() == value.current()) {
                return Ok(());
            }
            let now = inner.clock.now();
            inner.write(|slots| replace(slots, index, value, now))
        })
    }

    /// Refreshes the keys when their source notifies of a change, and once an hour, and logs the warnings, in a task that ends
    /// when the last clone is dropped.
    ///
    /// # Panics
    ///
    /// If it is called outside of a tokio runtime.
    #[must_use]
    pub fn refresh_in_background(self) -> Self {
        self.0.task.get_or_init(|| {
            let task = refresh_repeatedly(Arc::downgrade(&self.0), self.0.source.changes());
            tokio::spawn(task).abort_handle()
        });
        self
    }
}

/// Without the keys.
impl fmt::Debug for ScopedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.read(|slots| f.debug_list().entries(slots.iter().map(|slot| &slot.key)).finish())
    }
}

impl Inner {
    pub(super) fn new(
        source: Arc<dyn SecretSource>,
        slots: Vec<Slot>,
        warn_before: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { source, slots: RwLock::new(slots), warn_before, clock, task: OnceLock::new() }
    }

    /// No code panics while it holds the lock, and a key is replaced as a whole.
    fn read<T>(&self, read: impl FnOnce(&[Slot]) -> T) -> T {
        read(&self.slots.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut [Slot]) -> T) -> T {
        write(&mut self.slots.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Slot {
    pub(super) fn new(declaration: KeyDeclaration, value: Versioned<Secret>) -> Result<Self, SecretError> {
        declaration.check(value.current())?;
        let key = ServiceKey::new(&declaration, declaration.rotation, value);
        Ok(Self { declaration, key, warned_at: None })
    }

    /// Checks that no other service has the same key.
    pub(super) fn check_unique<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> Result<(), SecretError> {
        if others.into_iter().any(|other| other.key.secret() == self.key.secret()) {
            let problem = "each service has a key of its own, and another service has the same";
            return Err(SecretError::new(SecretErrorKind::Duplicate, self.declaration.variable.clone(), problem));
        }
        Ok(())
    }

    fn needs_rotation(&self, now: UnixTime, warn_before: Duration) -> bool {
        self.key.rotation_due().is_some_and(|due| due - warn_before <= now)
    }

    fn warn_of_rotation(&mut self, now: UnixTime) {
        if self.warned_at.is_some_and(|warned_at| now < warned_at + WARNING_INTERVAL) {
            return;
        }
        self.warned_at = Some(now);
        let (service, variable) = (self.key.service().escape_debug(), self.key.variable().escape_debug());
        let due = self.key.rotation_due().unwrap_or_default();
        if due <= now {
            tracing::warn!(%service, %variable, %due, "the rotation of a key is overdue");
        } else {
            tracing::warn!(%service, %variable, %due, "a key has to be rotated soon");
        }
    }
}

/// Puts a new version into a slot, if it is one and has the declared form.
fn replace(slots: &mut [Slot], index: usize, value: Versioned<Secret>, now: UnixTime) -> Result<(), SecretError> {
    let slot = &slots[index];
    // A version that is older than the key was read by a refresh that began earlier.
    if value.version() < slot.key.version() || slot.key.secret() == value.current() {
        return Ok(());
    }
    let mut next = Slot::new(slot.declaration.clone(), value.clone())?;
    next.check_unique(slots.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| other))?;
    let rotation = slot.declaration.rotation.map(|rotation| Rotation { created: now, ..rotation });
    next.key = ServiceKey::new(&next.declaration, rotation, value);
    slots[index] = next;
    Ok(())
}

/// Begins with a refresh, because the keys may have changed between their first reading and the subscription.
async fn refresh_repeatedly(keys: Weak<Inner>, mut changes: Changes) {
    let mut has_changes = true;
    let mut failing = None;
    loop {
        let Some(keys) = keys.upgrade().map(ScopedKeys) else { return };
        let error = keys.refresh().await.err().map(|error| error.to_string());
        if let Some(error) = error.as_ref().filter(|_| error != failing) {
            tracing::error!(%error, "a key cannot be replaced; the one before remains in use");
        }
        failing = error;
        keys.warn_of_rotations();
        // While it waits, the task does not own the keys.
        drop(keys);
        if has_changes {
            let changed = tokio::time::timeout(REFRESH_INTERVAL, changes.changed()).await;
            has_changes = !matches!(changed, Ok(None));
        }
        if !has_changes {
            tokio::time::sleep(REFRESH_INTERVAL).await;
        }
    }
}

const REFRESH_INTERVAL: Duration = Duration::from_secs(3600);

/// The minimum time between two warnings about one key.
const WARNING_INTERVAL: Duration = Duration::from_secs(24 * 3600);
