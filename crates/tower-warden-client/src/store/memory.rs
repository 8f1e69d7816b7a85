use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tower_warden::Eventual;

use super::{StoreLock, TokenStore};
use crate::{RefreshToken, TokenError};

/// A store in memory: the refresh token is lost when the process ends. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryTokenStore {
    lock: Arc<tokio::sync::Mutex<()>>,
    token: Arc<Mutex<Option<RefreshToken>>>,
}

impl MemoryTokenStore {
    /// A store with a refresh token that was obtained elsewhere.
    #[must_use]
    pub fn with(refresh: RefreshToken) -> Self {
        Self { lock: Arc::default(), token: Arc::new(Mutex::new(Some(refresh))) }
    }

    fn token(&self) -> MutexGuard<'_, Option<RefreshToken>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenStore for MemoryTokenStore {
    fn lock(&self) -> Eventual<Result<StoreLock, TokenError>> {
        let lock = Arc::clone(&self.lock);
        match Arc::clone(&lock).try_lock_owned() {
            Ok(guard) => Eventual::Now(Ok(StoreLock::new(guard))),
            // Another task refreshes.
            Err(_) => Eventual::later(async move { Ok(StoreLock::new(lock.lock_owned().await)) }),
        }
    }

    fn load(&self) -> Eventual<Result<Option<RefreshToken>, TokenError>> {
        Eventual::Now(Ok(self.token().clone()))
    }

    fn save(&self, refresh: Option<&RefreshToken>) -> Eventual<Result<(), TokenError>> {
        *self.token() = refresh.cloned();
        Eventual::Now(Ok(()))
    }
}
