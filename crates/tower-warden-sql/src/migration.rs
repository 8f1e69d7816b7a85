//! Migrations of the schema.

use sqlx::{Error, Executor as _, query, query_scalar, raw_sql};

use crate::pool::{Dialect as _, Pool, with_pool};

/// The tables of a kind of store. Each has versions of its own, so that a store needs no tables, and no right to create them,
/// that only another one uses.
#[derive(Clone, Copy)]
pub(crate) enum Schema {
    ApiKeys,
    #[cfg(feature = "issuer")]
    Issuer,
}

impl Schema {
    /// The table of applied versions.
    ///
    /// A table of its own rather than `_sqlx_migrations`: the tables may be located in the database of an application, and
    /// sqlx refuses a table of migrations that contains unknown ones, so that the two would refuse each other.
    const fn versions(self) -> &'static str {
        match self {
            Self::ApiKeys => "tower_warden_schema",
            #[cfg(feature = "issuer")]
            Self::Issuer => "tower_warden_issuer_schema",
        }
    }
}

/// Applies all migrations that are missing, or none. Processes may call it at the same time.
pub(crate) async fn migrate(pool: &Pool, schema: Schema) -> Result<(), Error> {
    let versions = schema.versions();
    let create = format!("CREATE TABLE {versions} (version BIGINT NOT NULL PRIMARY KEY)");
    let newest = format!("SELECT max(version) FROM {versions}");
    let insert = format!("INSERT INTO {versions} (version) VALUES ($1)");
    with_pool!(pool, pool => {
        let mut transaction = pool.begin_migration().await?;
        // `Executor::execute` below, because the compiler cannot prove that the future of `RawSql::execute` is `Send`.
        // IF NOT EXISTS would need the right to create tables even if the table exists.
        // Statements are not kept: behind a pooler, the connection of the server is another one after this transaction.
        let count = query_scalar(pool.count_tables()).persistent(false).bind(versions);
        let tables: i64 = count.fetch_one(&mut *transaction).await?;
        if tables == 0 {
            transaction.execute(raw_sql(&create)).await?;
        }
        let newest = query_scalar(&newest).persistent(false);
        let applied: Option<i64> = newest.fetch_one(&mut *transaction).await?;
        for (version, migration) in pending(applied, pool.migrations(schema))? {
            transaction.execute(raw_sql(migration)).await?;
            let record = query(&insert).persistent(false).bind(version);
            record.execute(&mut *transaction).await?;
        }
        transaction.commit().await
    })
}

/// The migrations after the applied version, each with its own version; the first one has version 1.
fn pending(
    applied: Option<i64>,
    migrations: &'static [&'static str],
) -> Result<impl Iterator<Item = (i64, &'static str)>, Error> {
    let applied = applied.unwrap_or(0);
    let numbered = (1_i64..).zip(migrations.iter().copied());
    if numbered.clone().last().is_some_and(|(newest, _)| newest < applied) {
        let message = "the tables were created by a newer version of tower-warden-sql";
        return Err(Error::Configuration(message.into()));
    }
    Ok(numbered.skip_while(move |(version, _)| *version <= applied))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_migrations_are_applied() {
        let migrations = |applied| pending(applied, &["one", "two"]).map(Iterator::collect::<Vec<_>>);
        assert_eq!(migrations(None).ok(), Some(vec![(1, "one"), (2, "two")]));
        assert_eq!(migrations(Some(1)).ok(), Some(vec![(2, "two")]));
        assert_eq!(migrations(Some(2)).ok(), Some(vec![]));
        assert!(matches!(migrations(Some(3)), Err(Error::Configuration(_))));
    }
}
