//! Stores of refresh tokens.

use std::{any::Any, fmt, sync::Arc};

use tower_warden::Eventual;

pub use self::{file::FileTokenStore, memory::MemoryTokenStore};
use crate::{RefreshToken, TokenError};

mod file;
mod memory;

/// A store of one refresh token, used by a [`RefreshGrant`](crate::grant::RefreshGrant).
///
/// # Examples
///
/// A custom store, which refuses to save:
///
/// ```
/// use tower_warden::Eventual;
/// use tower_warden_client::{
///     RefreshToken, TokenError, TokenErrorKind,
///     store::{MemoryTokenStore, StoreLock, TokenStore},
/// };
///
/// struct ReadOnly(MemoryTokenStore);
///
/// impl TokenStore for ReadOnly {
///     fn lock(&self) -> Eventual<Result<StoreLock, TokenError>> {
///         self.0.lock()
///     }
///
///     fn load(&self) -> Eventual<Result<Option<RefreshToken>, TokenError>> {
///         self.0.load()
///     }
///
///     fn save(&self, _: Option<&RefreshToken>) -> Eventual<Result<(), TokenError>> {
///         Eventual::Now(Err(TokenError::new(TokenErrorKind::Store, "the store is read-only")))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
/// let store = ReadOnly(MemoryTokenStore::with(RefreshToken::new("rt")));
/// assert_eq!(store.load().wait().await?.expect("a token").expose(), "rt");
/// assert_eq!(store.save(None).wait().await.unwrap_err().kind(), TokenErrorKind::Store);
/// # Ok::<(), TokenError>(()) })?;
/// # Ok::<(), TokenError>(())
/// ```
pub trait TokenStore: Send + Sync + 'static {
    /// Waits until no other user of the store, in this or another process, holds its lock, which is released by
    /// dropping it.
    ///
    /// # Errors
    ///
    /// If the lock cannot be taken.
    fn lock(&self) -> Eventual<Result<StoreLock, TokenError>>;

    /// Returns the refresh token, if there is one.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    fn load(&self) -> Eventual<Result<Option<RefreshToken>, TokenError>>;

    /// Replaces or removes the refresh token. After success, it survives a crash, as far as the store survives one.
    ///
    /// # Errors
    ///
    /// If the store may not contain the new state.
    fn save(&self, refresh: Option<&RefreshToken>) -> Eventual<Result<(), TokenError>>;
}

impl<T: TokenStore + ?Sized> TokenStore for Arc<T> {
    fn lock(&self) -> Eventual<Result<StoreLock, TokenError>> {
        (**self).lock()
    }

    fn load(&self) -> Eventual<Result<Option<RefreshToken>, TokenError>> {
        (**self).load()
    }

    fn save(&self, refresh: Option<&RefreshToken>) -> Eventual<Result<(), TokenError>> {
        (**self).save(refresh)
    }
}

/// The lock of a store, released when it is dropped.
pub struct StoreLock {
    _guard: Box<dyn Any + Send>,
}

impl StoreLock {
    /// Holds the lock as long as this guard.
    #[must_use]
    pub fn new(guard: impl Send + 'static) -> Self {
        Self { _guard: Box::new(guard) }
    }
}

impl fmt::Debug for StoreLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreLock(..)")
    }
}
