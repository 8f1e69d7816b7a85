//! The parts that are specific to Postgres.

use std::{str::FromStr, time::Duration};

use sqlx::{
    Connection as _, Error, PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    query,
};
use tower_warden::api_key::KeyUse;

use crate::{
    migration::{Schema, migrate},
    pool::{Dialect, Pool, Session},
    row::seconds,
};

/// The longest time that a look-up waits for a connection. Shorter than the time-out of a look-up (two seconds), so that
/// the log shows this cause.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1500);

const MAX_CONNECTIONS: u32 = 10;

/// The longest time that a released connection may take to respond.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Locks the rows in the order of their ids, so that two nodes that write at the same time cannot deadlock.
const TOUCH: &str = "WITH used AS (\
       SELECT id, max(at) AS at FROM UNNEST($1::text[], $2::bigint[]) AS used (id, at) GROUP BY id\
     ), later AS (\
       SELECT keys.id, used.at FROM tower_warden_api_keys AS keys JOIN used ON used.id = keys.id \
       WHERE keys.last_used_at IS NULL OR keys.last_used_at < used.at ORDER BY keys.id FOR NO KEY UPDATE OF keys\
     ) UPDATE tower_warden_api_keys AS keys SET last_used_at = later.at FROM later WHERE keys.id = later.id";

/// The kind of connection between a pool and the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pooler {
    None,
    /// A pooler in transaction mode: it may use another connection of the server after each transaction. Prepared
    /// statements do not outlive a transaction then, and notifications are not received.
    Transaction,
}

/// A pool of connections to Postgres.
#[derive(Clone, Debug)]
pub(crate) struct PostgresPool {
    pub(crate) pool: PgPool,
    pub(crate) pooler: Pooler,
}

/// Opens a pool, after the server has accepted one connection.
pub(super) async fn connect(url: &str, pooler: Pooler) -> Result<PgPool, Error> {
    let options = PgConnectOptions::from_str(url)?;
    let options = match pooler {
        Pooler::None => options,
        // PgBouncer refuses this parameter by default, and no column is a float.
        Pooler::Transaction => options.extra_float_digits(None),
    };
    // A pool retries until its time-out and then reports that instead of the cause.
    PgConnection::connect_with(&options).await?.close().await?;
    let pool = PgPoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).max_connections(MAX_CONNECTIONS);
    // sqlx would check a released connection without a time-out: if the server is gone, the pool would lack that
    // connection until TCP gives up.
    let pool = pool.after_release(|connection, _| {
        Box::pin(async move {
            let ping = tokio::time::timeout(RELEASE_TIMEOUT, connection.ping()).await;
            ping.unwrap_or(Err(Error::PoolTimedOut)).map(|()| true)
        })
    });
    Ok(pool.connect_lazy_with(options))
}

/// Applies migrations on a connection of its own.
pub(super) async fn migrate_directly(options: &PgConnectOptions) -> Result<(), Error> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT);
    let pool = pool.connect_lazy_with(options.clone());
    let migrated =
        migrate(&Pool::Postgres(PostgresPool { pool: pool.clone(), pooler: Pooler::None }), Schema::ApiKeys).await;
    pool.close().await;
    migrated
}

impl Dialect for PostgresPool {
    type Database = Postgres;

    fn migrations(&self, schema: Schema) -> &'static [&'static str] {
        match schema {
            Schema::ApiKeys => &[
                include_str!("migrations/postgres/1_api_keys.sql"),
                include_str!("migrations/postgres/2_confirmation.sql"),
                include_str!("migrations/postgres/3_positions.sql"),
            ],
            #[cfg(feature = "issuer")]
            Schema::Issuer => &[include_str!("migrations/postgres/issuer_1.sql")],
        }
    }

    fn count_tables(&self) -> &'static str {
        "SELECT count(to_regclass($1))"
    }

    #[cfg(feature = "issuer")]
    fn remove_families(&self) -> &'static str {
        "DELETE FROM tower_warden_refresh_families WHERE id IN (SELECT id FROM tower_warden_refresh_families \
         WHERE idle_until < $1 ORDER BY idle_until LIMIT $2 FOR UPDATE SKIP LOCKED)"
    }

    fn keeps_statements(&self) -> bool {
        self.pooler == Pooler::None
    }

    async fn session(&self) -> Result<Session<Postgres>, Error> {
        match self.pooler {
            Pooler::None => self.pool.acquire().await.map(Session::Connection),
            Pooler::Transaction => self.pool.begin().await.map(Session::Transaction),
        }
    }

    async fn begin_migration(&self) -> Result<Transaction<'static, Postgres>, Error> {
        let mut transaction = self.begin_write().await?;
        // Any number that is unlikely to be locked by others: the first bytes of "tower-warden".
        let lock = query("SELECT pg_advisory_xact_lock($1)").persistent(false).bind(i64::from_be_bytes(*b"tower-wa"));
        lock.execute(&mut *transaction).await?;
        Ok(transaction)
    }

    async fn begin_write(&self) -> Result<Transaction<'static, Postgres>, Error> {
        // Explicit, because the default may be stricter: a snapshot from before a lock was acquired would hide what its
        // previous holder committed.
        self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await
    }

    async fn touch(&self, uses: &[KeyUse]) -> Result<(), Error> {
        let ids: Vec<_> = uses.iter().map(|used| used.id.to_string()).collect();
        let times: Vec<_> = uses.iter().map(|used| seconds(used.at)).collect();
        let mut session = self.session().await?;
        let touch = query(TOUCH).persistent(self.keeps_statements()).bind(ids).bind(times);
        touch.execute(session.connection()).await?;
        session.finish().await
    }
}
