//! Keys in a SQL database: SQLite or Postgres.
//!
//! What differs between the two is in `postgres` and `sqlite`, behind [`Dialect`](pool::Dialect); all else is written
//! once.

pub use self::store::SqlKeyStore;

mod failure;
#[cfg(feature = "postgres")]
mod listener;
mod migration;
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statement;
mod store;
