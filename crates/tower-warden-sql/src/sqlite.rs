//! What is particular to SQLite.

use std::{str::FromStr, time::Duration};

use sqlx::{
    Error, Sqlite, SqlitePool, Transaction, query,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{super::store::KeyUse, pool::Dialect, row::seconds};

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(5);

/// How long to wait where SQLite itself does not.
const RETRY: Duration = Duration::from_millis(20);

/// Readers and writers at once; there is never more than one writer.
const CONNECTIONS: u32 = 4;

const TOUCH: &str = "UPDATE tower_warden_api_keys SET last_used_at = $2 \
     WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";

/// Opens a database, and makes its file if there is none and the URL has no `mode`; the caller bounds the time.
pub(super) async fn connect(url: &str) -> Result<SqlitePool, Error> {
    let (path, parameters) = url.split_once('?').unwrap_or((url, ""));
    if matches!(path, "sqlite:" | "sqlite://") {
        // SQLite would make a database for each connection, which ends with it.
        return Err(Error::Configuration("a SQLite URL has a path, or `:memory:`".into()));
    }
    let options = SqliteConnectOptions::from_str(url)?.busy_timeout(BUSY);
    let pool = SqlitePoolOptions::new().acquire_timeout(BUSY).test_before_acquire(false);
    if path.ends_with(":memory:") || parameters.contains("mode=memory") {
        // Such a database ends with its last connection.
        let pool = pool.min_connections(1).max_connections(1).idle_timeout(None).max_lifetime(None);
        return pool.connect_with(options).await;
    }
    // FULL: a revocation that was lost in a power cut would be worse than one that was slow.
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let options = if parameters.contains("mode=") { options } else { options.create_if_missing(true) };
    let pool = pool.max_connections(CONNECTIONS);
    loop {
        match pool.clone().connect_with(options.clone()).await {
            // SQLite does not wait for the lock with which a fresh file is put into WAL mode: another process has it.
            Err(error) if is_busy(&error) => tokio::time::sleep(RETRY).await,
            connected => return connected,
        }
    }
}

/// Whether this is SQLITE_BUSY, or one of its kinds.
fn is_busy(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xFF == 5)
}

impl Dialect for SqlitePool {
    type Database = Sqlite;

    fn migrations(&self) -> &'static [&'static str] {
        &[include_str!("migrations/sqlite/1_api_keys.sql"), include_str!("migrations/sqlite/2_confirmation.sql")]
    }

    fn count_ledgers(&self) -> &'static str {
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'tower_warden_schema'"
    }

    async fn begin_migration(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        self.begin_write().await
    }

    async fn begin_write(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        // A transaction that reads first and then writes is refused, not queued, if another has written meanwhile.
        self.begin_with("BEGIN IMMEDIATE").await
    }

    async fn touch(&self, uses: &[KeyUse]) -> Result<(), Error> {
        let mut transaction = self.begin_write().await?;
        for used in uses {
            query(TOUCH).bind(used.id.as_str()).bind(seconds(used.at)).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }
}
