//! A SQLite database in a file, as a service of one process has it.

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tempfile::TempDir;

use super::Change;

/// The same pool for each server.
pub struct Database {
    pub pool: SqlitePool,
    folder: TempDir,
}

impl Database {
    pub async fn create() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = SqliteConnectOptions::new().filename(folder.path().join("keys.db")).create_if_missing(true);
        let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal);
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await.expect("a database");
        Self { pool, folder }
    }

    /// Closes it. The files are removed with the closure.
    pub fn closing(self) -> Change {
        Box::new(move |runtime| {
            runtime.block_on(self.pool.close());
            drop(self.folder);
        })
    }
}
