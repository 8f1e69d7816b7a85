use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tower_warden::Eventual;

use super::{Secret, SecretError, SecretErrorKind, SecretSource, Versioned};
use crate::{TokenError, TokenErrorKind};

/// A secret of a grant: a fixed text, or a secret of a source. Clones are the same secret.
#[derive(Clone)]
pub(crate) enum SecretInput {
    Fixed(Arc<Secret>),
    Named(NamedSecret),
}

impl SecretInput {
    pub(crate) fn fixed(text: &str) -> Self {
        Self::Fixed(Arc::new(Secret::new(text)))
    }

    pub(crate) fn named(source: impl SecretSource, name: impl Into<Box<str>>) -> Self {
        Self::Named(NamedSecret::new(source, name))
    }

    /// Returns the valid versions.
    pub(crate) async fn read(&self) -> Result<Versioned<Secret>, TokenError> {
        match self {
            Self::Fixed(secret) => Ok(Versioned::new(Arc::clone(secret), 1)),
            Self::Named(named) => named.read().wait().await,
        }
    }
}

/// A secret that a source has by this name, with the last version that was read.
#[derive(Clone)]
pub(crate) struct NamedSecret(Arc<Inner>);

struct Inner {
    last: Mutex<Last>,
    name: Box<str>,
    source: Arc<dyn SecretSource>,
}

#[derive(Default)]
struct Last {
    is_failing: bool,
    value: Option<Versioned<Secret>>,
}

impl NamedSecret {
    pub(crate) fn new(source: impl SecretSource, name: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Inner { last: Mutex::default(), name: name.into(), source: Arc::new(source) }))
    }

    /// Reads the secret. If the source fails, the last version that was read remains in use, with one warning.
    pub(crate) fn read(&self) -> Eventual<Result<Versioned<Secret>, TokenError>> {
        let this = self.clone();
        self.0.source.get(&self.0.name).map(move |read| this.settle(read))
    }

    fn settle(&self, read: Result<Versioned<Secret>, SecretError>) -> Result<Versioned<Secret>, TokenError> {
        let mut last = self.last();
        match read {
            Ok(value) => {
                *last = Last { is_failing: false, value: Some(value.clone()) };
                Ok(value)
            }
            Err(error) => {
                let value = last.value.clone().ok_or_else(|| unreadable(error))?;
                if !std::mem::replace(&mut last.is_failing, true) {
                    let name = self.0.name.escape_debug();
                    tracing::warn!(%name, "a secret cannot be read again; its last value remains in use");
                }
                Ok(value)
            }
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name, and not the value.
impl fmt::Debug for NamedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamedSecret").field(&self.0.name).finish()
    }
}

fn unreadable(error: SecretError) -> TokenError {
    match error.kind() {
        SecretErrorKind::Unavailable => {
            TokenError::new(TokenErrorKind::Unavailable, "the source of a secret does not respond")
        }
        _ => TokenError::new(TokenErrorKind::Store, "a secret cannot be used"),
    }
    .because(error)
}
