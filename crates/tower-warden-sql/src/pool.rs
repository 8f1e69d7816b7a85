//! The databases behind one face.

#[cfg(feature = "postgres")]
use sqlx::PgPool;
#[cfg(feature = "sqlite")]
use sqlx::SqlitePool;
use sqlx::{Database, Error, Transaction};

use super::super::store::KeyUse;

/// Connections to one of the databases.
#[derive(Clone)]
pub(super) enum Pool {
    #[cfg(feature = "postgres")]
    Postgres(PgPool),
    #[cfg(feature = "sqlite")]
    Sqlite(SqlitePool),
}

impl Pool {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "postgres",
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "sqlite",
        }
    }
}

/// Runs the same code on either database's pool: both understand `$1`.
macro_rules! on {
    ($pool:expr, $name:ident => $body:expr) => {
        match $pool {
            #[cfg(feature = "postgres")]
            $crate::api_key::sql::pool::Pool::Postgres($name) => $body,
            #[cfg(feature = "sqlite")]
            $crate::api_key::sql::pool::Pool::Sqlite($name) => $body,
        }
    };
}

pub(super) use on;

/// In what the databases differ.
pub(super) trait Dialect {
    type Database: Database;

    /// The steps of the schema, the first one first.
    fn migrations(&self) -> &'static [&'static str];

    /// Asks how many ledgers of migrations there are: none or one.
    fn count_ledgers(&self) -> &'static str;

    /// Begins a transaction beside which no other migration runs.
    fn begin_migration(&self) -> impl Future<Output = Result<Transaction<'static, Self::Database>, Error>> + Send;

    /// Begins a transaction that writes.
    fn begin_write(&self) -> impl Future<Output = Result<Transaction<'static, Self::Database>, Error>> + Send;

    /// Writes down when keys were last used, where that is later than what is there.
    fn touch(&self, uses: &[KeyUse]) -> impl Future<Output = Result<(), Error>> + Send;
}
