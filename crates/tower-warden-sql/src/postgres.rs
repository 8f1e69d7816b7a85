//! What is particular to Postgres.

use std::{str::FromStr, time::Duration};

use sqlx::{
    Connection as _, Error, PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    query,
};

use super::{super::store::KeyUse, pool::Dialect, row::seconds};

/// How long a look-up waits for a connection: less than the look-up's own two seconds, so that the log tells why.
const ACQUIRE: Duration = Duration::from_millis(1500);

const CONNECTIONS: u32 = 10;

/// How long a connection that is given back may take to show that it is alive.
const RELEASE: Duration = Duration::from_secs(2);

/// Rows are locked in the order of their ids, so that two nodes that write at once do not wait for each other in turn.
const TOUCH: &str = "WITH used AS (\
       SELECT id, max(at) AS at FROM UNNEST($1::text[], $2::bigint[]) AS used (id, at) GROUP BY id\
     ), later AS (\
       SELECT keys.id, used.at FROM tower_warden_api_keys AS keys JOIN used ON used.id = keys.id \
       WHERE keys.last_used_at IS NULL OR keys.last_used_at < used.at ORDER BY keys.id FOR NO KEY UPDATE OF keys\
     ) UPDATE tower_warden_api_keys AS keys SET last_used_at = later.at FROM later WHERE keys.id = later.id";

/// Opens a pool, if the server answers.
pub(super) async fn connect(url: &str) -> Result<PgPool, Error> {
    let options = PgConnectOptions::from_str(url)?;
    // A pool tries again until its time is over, and then cannot tell why.
    PgConnection::connect_with(&options).await?.close().await?;
    let pool = PgPoolOptions::new().acquire_timeout(ACQUIRE).max_connections(CONNECTIONS);
    // sqlx itself would wait for a server that is gone as long as TCP does, and the pool be one connection short.
    let pool = pool.after_release(|connection, _| {
        Box::pin(async move {
            let ping = tokio::time::timeout(RELEASE, connection.ping()).await;
            ping.unwrap_or(Err(Error::PoolTimedOut)).map(|()| true)
        })
    });
    Ok(pool.connect_lazy_with(options))
}

impl Dialect for PgPool {
    type Database = Postgres;

    fn migrations(&self) -> &'static [&'static str] {
        &[include_str!("migrations/postgres/1_api_keys.sql"), include_str!("migrations/postgres/2_confirmation.sql")]
    }

    fn count_ledgers(&self) -> &'static str {
        "SELECT count(to_regclass('tower_warden_schema'))"
    }

    async fn begin_migration(&self) -> Result<Transaction<'static, Postgres>, Error> {
        let mut transaction = self.begin_write().await?;
        // Any number that others do not lock: the first bytes of "tower-warden".
        let lock = query("SELECT pg_advisory_xact_lock($1)").bind(i64::from_be_bytes(*b"tower-wa"));
        lock.execute(&mut *transaction).await?;
        Ok(transaction)
    }

    async fn begin_write(&self) -> Result<Transaction<'static, Postgres>, Error> {
        // Whatever the database's default is: a snapshot taken before a lock was had would hide what the holder did.
        self.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await
    }

    async fn touch(&self, uses: &[KeyUse]) -> Result<(), Error> {
        let ids: Vec<_> = uses.iter().map(|used| used.id.to_string()).collect();
        let times: Vec<_> = uses.iter().map(|used| seconds(used.at)).collect();
        query(TOUCH).bind(ids).bind(times).execute(self).await.map(drop)
    }
}
