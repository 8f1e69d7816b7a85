//! A pool of connections to either database.

#[cfg(feature = "sqlite")]
use sqlx::SqlitePool;
use sqlx::{Database, Error, Transaction, pool::PoolConnection};
use tower_warden::api_key::KeyUse;

use crate::migration::Schema;
#[cfg(feature = "postgres")]
use crate::postgres::PostgresPool;

/// A database system that is compiled in.
pub(crate) enum DatabaseSystem {
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "sqlite")]
    Sqlite,
}

impl DatabaseSystem {
    /// The one of a URL, by its scheme; otherwise the error of the configuration.
    pub(crate) fn of(url: &str) -> Result<Self, &'static str> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => Ok(Self::Postgres),
            #[cfg(not(feature = "postgres"))]
            Some("postgres" | "postgresql") => Err("the cargo feature `postgres` of tower-warden-sql is off"),
            #[cfg(feature = "sqlite")]
            Some("sqlite") => Ok(Self::Sqlite),
            #[cfg(not(feature = "sqlite"))]
            Some("sqlite") => Err("the cargo feature `sqlite` of tower-warden-sql is off"),
            _ => Err("the URL of a store begins with `postgres:` or `sqlite:`"),
        }
    }
}

/// A pool of connections to one of the databases.
#[derive(Clone)]
pub(crate) enum Pool {
    #[cfg(feature = "postgres")]
    Postgres(PostgresPool),
    #[cfg(feature = "sqlite")]
    Sqlite(SqlitePool),
}

impl Pool {
    /// The name of the database system.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "postgres",
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "sqlite",
        }
    }
}

/// Compiles an expression for the pools of both databases. Statements are shared too: both accept `$1`.
macro_rules! with_pool {
    ($pool:expr, $name:ident => $body:expr) => {
        match $pool {
            #[cfg(feature = "postgres")]
            $crate::pool::Pool::Postgres($name) => $body,
            #[cfg(feature = "sqlite")]
            $crate::pool::Pool::Sqlite($name) => $body,
        }
    };
}

pub(crate) use with_pool;

/// A connection for one operation.
pub(crate) enum Session<D: Database> {
    Connection(PoolConnection<D>),
    /// Behind a pooler, which may use another connection of the server after each transaction.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "only Postgres has poolers"))]
    Transaction(Transaction<'static, D>),
}

impl<D: Database> Session<D> {
    pub(crate) fn connection(&mut self) -> &mut D::Connection {
        match self {
            Self::Connection(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }

    /// Completes the operation.
    pub(crate) async fn finish(self) -> Result<(), Error> {
        match self {
            Self::Connection(_) => Ok(()),
            Self::Transaction(transaction) => transaction.commit().await,
        }
    }
}

/// The differences between the databases.
pub(crate) trait Dialect {
    type Database: Database;

    /// The migrations of a schema, in order.
    fn migrations(&self, schema: Schema) -> &'static [&'static str];

    /// A query for the number of tables with a name: zero or one.
    fn count_tables(&self) -> &'static str;

    /// A statement that removes families of refresh tokens which have expired before `$1`, at most `$2` of them.
    #[cfg(feature = "issuer")]
    fn remove_families(&self) -> &'static str;

    /// Returns whether statements may be prepared under a name, for later operations.
    fn keeps_statements(&self) -> bool;

    /// Returns a connection for one statement.
    fn session(&self) -> impl Future<Output = Result<Session<Self::Database>, Error>> + Send;

    /// Begins a transaction that excludes other migrations.
    fn begin_migration(&self) -> impl Future<Output = Result<Transaction<'static, Self::Database>, Error>> + Send;

    /// Begins a transaction that writes.
    fn begin_write(&self) -> impl Future<Output = Result<Transaction<'static, Self::Database>, Error>> + Send;

    /// Stores the times at which keys were last used, where they are later than the stored ones.
    fn touch(&self, uses: &[KeyUse]) -> impl Future<Output = Result<(), Error>> + Send;
}
