use std::{fmt, sync::Arc};

use tower_warden::{UnixTime, scope::Scopes};

use super::declaration::{KeyDeclaration, Rotation};
use crate::secret::{Secret, Versioned};

/// The API key of one service, in one version.
///
/// It is cheap to clone, and `Debug` prints no part of the key. It cannot be serialized:
///
/// ```compile_fail,E0277
/// fn save<T: serde::Serialize>() {}
///
/// save::<tower_warden_client::scoped_keys::ServiceKey>();
/// ```
#[derive(Clone)]
pub struct ServiceKey(Arc<Inner>);

struct Inner {
    service: Box<str>,
    variable: Box<str>,
    scopes: Scopes,
    rotation: Option<Rotation>,
    value: Versioned<Secret>,
}

impl ServiceKey {
    pub(super) fn new(declaration: &KeyDeclaration, rotation: Option<Rotation>, value: Versioned<Secret>) -> Self {
        Self(Arc::new(Inner {
            service: declaration.service.clone(),
            variable: declaration.variable.clone(),
            scopes: declaration.scopes.clone(),
            rotation,
            value,
        }))
    }

    /// The service for which the key was issued.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// The name of the key in its source.
    #[must_use]
    pub fn variable(&self) -> &str {
        &self.0.variable
    }

    /// The scopes for which the key was issued, as declared.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    /// The key.
    #[must_use]
    pub fn secret(&self) -> &Arc<Secret> {
        self.0.value.current()
    }

    /// The versions that are valid.
    pub(super) fn versions(&self) -> &Versioned<Secret> {
        &self.0.value
    }

    /// The version of the key in its source.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.value.version()
    }

    /// The time at which the key was created, or first seen if it was rotated since the start; `None` if no rotation is
    /// declared.
    #[must_use]
    pub fn created(&self) -> Option<UnixTime> {
        self.0.rotation.map(|rotation| rotation.created)
    }

    /// The time at which the key has to be replaced; `None` if no rotation is declared.
    #[must_use]
    pub fn rotation_due(&self) -> Option<UnixTime> {
        self.0.rotation.map(|rotation| rotation.created + rotation.period)
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceKey")
            .field("service", &self.0.service)
            .field("variable", &self.0.variable)
            .field("scopes", &self.0.scopes)
            .field("version", &self.version())
            .field("rotation_due", &self.rotation_due())
            .finish_non_exhaustive()
    }
}
