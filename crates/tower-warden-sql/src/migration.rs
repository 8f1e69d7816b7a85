//! The schema, brought up to date.

use sqlx::{Error, query, query_scalar, raw_sql};

use super::pool::{Dialect as _, Pool, on};

/// Our own ledger rather than `_sqlx_migrations`: users keep keys beside their own tables, and sqlx refuses a ledger
/// that has migrations it does not know, so theirs and ours would refuse each other.
const CREATE_LEDGER: &str = "CREATE TABLE tower_warden_schema (version BIGINT NOT NULL PRIMARY KEY)";

/// Applies the migrations that are missing: all or none. Two processes may start at once.
pub(super) async fn migrate(pool: &Pool) -> Result<(), Error> {
    on!(pool, pool => {
        let mut transaction = pool.begin_migration().await?;
        // Asked first, because IF NOT EXISTS wants the right to create tables even where there is nothing to do.
        let ledgers: i64 = query_scalar(pool.count_ledgers()).fetch_one(&mut *transaction).await?;
        if ledgers == 0 {
            raw_sql(CREATE_LEDGER).execute(&mut *transaction).await?;
        }
        let newest = query_scalar("SELECT max(version) FROM tower_warden_schema");
        let version: Option<i64> = newest.fetch_one(&mut *transaction).await?;
        for (number, step) in pending(version, pool.migrations())? {
            raw_sql(step).execute(&mut *transaction).await?;
            let note = query("INSERT INTO tower_warden_schema (version) VALUES ($1)").bind(number);
            note.execute(&mut *transaction).await?;
        }
        transaction.commit().await
    })
}

/// The steps behind this version, each with its number.
fn pending(
    version: Option<i64>,
    steps: &'static [&'static str],
) -> Result<impl Iterator<Item = (i64, &'static str)>, Error> {
    let version = version.unwrap_or(0);
    let numbered = (1_i64..).zip(steps.iter().copied());
    if numbered.clone().last().is_some_and(|(newest, _)| newest < version) {
        let message = "the schema of the key store was made by a newer version of tower-warden";
        return Err(Error::Configuration(message.into()));
    }
    Ok(numbered.skip_while(move |(number, _)| *number <= version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_applied() {
        let steps = |version| pending(version, &["one", "two"]).map(Iterator::collect::<Vec<_>>);
        assert_eq!(steps(None).ok(), Some(vec![(1, "one"), (2, "two")]));
        assert_eq!(steps(Some(1)).ok(), Some(vec![(2, "two")]));
        assert_eq!(steps(Some(2)).ok(), Some(vec![]));
        assert!(matches!(steps(Some(3)), Err(Error::Configuration(_))));
    }
}
