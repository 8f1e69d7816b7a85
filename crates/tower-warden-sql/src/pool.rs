//! A pool of connections to either database.

#[cfg(feature = "postgres")]
use sqlx::PgPool;
#[cfg(feature = "sqlite")]
use sqlx::SqlitePool;
use sqlx::{Database, Error, Transaction};
use tower_warden::api_key::KeyUse;

/// A pool of connections to one of the databases.
#[derive(Clone)]
pub(crate) enum Pool {
    #[cfg(feature = "postgres")]
    Postgres(PgPool),
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

/// The differences between the databases.
pub(crate) trait Dialect {
    type Database: Database;

    /// The migrations of the schema, in order.
    fn migrations(&self) -> &'static [&'static str];

    /// A query for the number of tables of applied versions: zero or one.
    fn count_version_tables(&self) -> &'static str;

    /// Begins a transaction that excludes other migrations.
    fn begin_migration(&self) -> impl Future<Output = Result<Transaction<'static, Self::Database>, Error>> + Send;

    /// Begins a transaction that writes.
    fn begin_write(&self) -> impl Future<Output = Result<Transaction<'static, Self::Database>, Error>> + Send;

    /// Stores the times at which keys were last used, where they are later than the stored ones.
    fn touch(&self, uses: &[KeyUse]) -> impl Future<Output = Result<(), Error>> + Send;
}
