use std::{fmt, sync::Arc, time::Duration};

use tower_warden::{Clock, Environment};

use super::{
    ScopedKeys,
    declaration::KeyDeclaration,
    keys::{Inner, Slot},
};
use crate::secret::{SecretError, SecretErrorKind, SecretSource};

/// Configures [`ScopedKeys`].
#[must_use]
pub struct ScopedKeysBuilder {
    source: Arc<dyn SecretSource>,
    declarations: Vec<KeyDeclaration>,
    warn_before: Duration,
    clock: Arc<dyn Clock>,
}

impl ScopedKeysBuilder {
    pub(super) fn new(source: Arc<dyn SecretSource>) -> Self {
        let clock = Environment::default().clock();
        Self { source, declarations: Vec::new(), warn_before: DEFAULT_WARN_BEFORE, clock }
    }

    /// Adds the key of one service.
    pub fn key(mut self, declaration: KeyDeclaration) -> Self {
        self.declarations.push(declaration);
        self
    }

    /// Sets how long before its rotation is due a key is reported: three days by default.
    pub const fn warn_before(mut self, duration: Duration) -> Self {
        self.warn_before = duration;
        self
    }

    /// Takes the clock of an environment: the system clock by default.
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }

    /// Reads all keys, checks their form, and logs a warning for each one that [needs a rotation](ScopedKeys::needs_rotation).
    ///
    /// # Errors
    ///
    /// If a key is missing, does not have the declared form, or belongs to two services. The error names the variable, and
    /// never contains the value.
    pub async fn load(self) -> Result<ScopedKeys, SecretError> {
        let mut slots: Vec<Slot> = Vec::with_capacity(self.declarations.len());
        for declaration in self.declarations {
            if slots.iter().any(|slot| slot.declaration.service == declaration.service) {
                let problem = "a service has one key, and this one is declared twice";
                return Err(SecretError::new(SecretErrorKind::Duplicate, declaration.service, problem));
            }
            let value = self.source.get(&declaration.variable).wait().await?;
            let slot = Slot::new(declaration, value)?;
            slot.check_unique(&slots)?;
            slots.push(slot);
        }
        let keys = ScopedKeys(Arc::new(Inner::new(self.source, slots, self.warn_before, self.clock)));
        keys.warn_of_rotations();
        Ok(keys)
    }
}

impl fmt::Debug for ScopedKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedKeysBuilder")
            .field("declarations", &self.declarations)
            .field("warn_before", &self.warn_before)
            .finish_non_exhaustive()
    }
}

const DEFAULT_WARN_BEFORE: Duration = Duration::from_secs(3 * 24 * 3600);
