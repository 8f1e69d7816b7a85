//! The parts that are specific to SQLite.

use std::{str::FromStr, time::Duration};

use sqlx::{
    Error, Sqlite, SqlitePool, Transaction, query,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tower_warden::api_key::KeyUse;

use crate::{
    migration::Schema,
    pool::{Dialect, Session},
    row::seconds,
};

/// The longest time that a writer waits for another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The delay between attempts where SQLite itself does not wait.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Enough for readers next to the only writer that SQLite admits.
const MAX_CONNECTIONS: u32 = 4;

const TOUCH: &str = "UPDATE tower_warden_api_keys SET last_used_at = $2 \
     WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";

/// Opens a pool, and creates the file if it is missing and the URL has no `mode`. The caller sets a time limit.
pub(super) async fn connect(url: &str) -> Result<SqlitePool, Error> {
    let (path, parameters) = url.split_once('?').unwrap_or((url, ""));
    if matches!(path, "sqlite:" | "sqlite://") {
        // SQLite would open a temporary database for each connection.
        return Err(Error::Configuration("a SQLite URL has a path, or `:memory:`".into()));
    }
    let options = SqliteConnectOptions::from_str(url)?.busy_timeout(BUSY_TIMEOUT);
    let pool = SqlitePoolOptions::new().acquire_timeout(BUSY_TIMEOUT).test_before_acquire(false);
    if path.ends_with(":memory:") || parameters.contains("mode=memory") {
        // Such a database is deleted with its last connection.
        let pool = pool.min_connections(1).max_connections(1).idle_timeout(None).max_lifetime(None);
        return pool.connect_with(options).await;
    }
    // FULL: a power failure must not undo a revocation; revocations may be slow.
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    let options = if parameters.contains("mode=") { options } else { options.create_if_missing(true) };
    let pool = pool.max_connections(MAX_CONNECTIONS);
    loop {
        match pool.clone().connect_with(options.clone()).await {
            // SQLite does not wait for the lock under which a new file is put into WAL mode; another process holds it.
            Err(error) if is_busy(&error) => tokio::time::sleep(RETRY_INTERVAL).await,
            connected => return connected,
        }
    }
}

/// Returns whether this is SQLITE_BUSY, or one of its extended codes.
fn is_busy(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xFF == 5)
}

impl Dialect for SqlitePool {
    type Database = Sqlite;

    fn migrations(&self, schema: Schema) -> &'static [&'static str] {
        match schema {
            Schema::ApiKeys => &[
                include_str!("migrations/sqlite/1_api_keys.sql"),
                include_str!("migrations/sqlite/2_confirmation.sql"),
                include_str!("migrations/sqlite/3_positions.sql"),
            ],
            #[cfg(feature = "issuer")]
            Schema::Issuer => &[include_str!("migrations/sqlite/issuer_1.sql")],
        }
    }

    fn count_tables(&self) -> &'static str {
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1"
    }

    #[cfg(feature = "issuer")]
    fn remove_families(&self) -> &'static str {
        "DELETE FROM tower_warden_refresh_families WHERE id IN (SELECT id FROM tower_warden_refresh_families \
         WHERE idle_until < $1 ORDER BY idle_until LIMIT $2)"
    }

    fn keeps_statements(&self) -> bool {
        true
    }

    async fn session(&self) -> Result<Session<Sqlite>, Error> {
        self.acquire().await.map(Session::Connection)
    }

    async fn begin_migration(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        self.begin_write().await
    }

    async fn begin_write(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        // IMMEDIATE: a transaction that reads before it writes would fail, rather than wait, if another one has written
        // in between.
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
