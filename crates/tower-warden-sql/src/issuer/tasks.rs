//! The time limits of operations, and the tasks of changes.

use std::time::Duration;

use tokio::time::timeout;

use super::error::{IssuerStoreError, IssuerStoreErrorKind};

/// The longest time that each step of connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest time that a look-up may take.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest time that a change may take. Longer than writers of SQLite wait for each other.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Limits the time of a step of connecting.
pub(super) async fn connecting<T>(step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, IssuerStoreError> {
    Ok(timeout(CONNECT_TIMEOUT, step).await.map_err(not_available)??)
}

/// Limits the time of a look-up.
pub(super) async fn reading<T>(work: impl Future<Output = Result<T, IssuerStoreError>>) -> Result<T, IssuerStoreError> {
    timeout(READ_TIMEOUT, work).await.map_err(not_available)?
}

/// Makes a change in a task of its own, which is not aborted if the future is dropped: a transaction that is left halfway
/// would block the only writer of SQLite until the pool rolls it back.
pub(super) async fn writing<F, T>(work: F) -> Result<T, IssuerStoreError>
where
    F: Future<Output = Result<T, IssuerStoreError>> + Send + 'static,
    T: Send + 'static,
{
    let limited = async { timeout(WRITE_TIMEOUT, work).await.map_err(not_available)? };
    tokio::spawn(limited).await.map_err(not_available)?
}

fn not_available(cause: impl std::error::Error + Send + Sync + 'static) -> IssuerStoreError {
    IssuerStoreError::new(IssuerStoreErrorKind::Unavailable).because(cause)
}
