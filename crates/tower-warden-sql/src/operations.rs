//! The operations of the store, on either database.

use std::sync::Arc;

use sqlx::{query, query_scalar};
use tower_warden::{
    Unavailable, UnixTime,
    api_key::{KeyAddition, KeyError, KeyErrorKind, KeyId, KeyPage, KeyQuery, KeyRecord, KeyUpdate, UnrevokedKeys},
};

use crate::{
    error::{read_error, write_error},
    pool::{Dialect as _, Pool, with_pool},
    row::{decode, decode_id, seconds},
    statement,
};

/// Reads the record that a statement selects by a text.
pub(crate) async fn fetch(
    pool: Pool,
    statement: &'static str,
    key: String,
) -> Result<Option<Arc<KeyRecord>>, Unavailable> {
    with_pool!(&pool, pool => {
        let mut session = pool.session().await.map_err(read_error)?;
        let select = query(statement).persistent(pool.keeps_statements()).bind(key);
        let row = select.fetch_optional(session.connection()).await.map_err(read_error)?;
        session.finish().await.map_err(read_error)?;
        Ok(row.as_ref().map(decode).transpose()?)
    })
}

pub(crate) async fn list(pool: Pool, filter: KeyQuery) -> Result<KeyPage, Unavailable> {
    let keys: Result<Vec<_>, _> = with_pool!(&pool, pool => {
        let mut session = pool.session().await.map_err(read_error)?;
        let select = statement::list(&filter).persistent(pool.keeps_statements());
        let rows = select.fetch_all(session.connection()).await.map_err(read_error)?;
        session.finish().await.map_err(read_error)?;
        rows.iter().map(decode).collect()
    });
    Ok(KeyPage::cut(keys?, &filter))
}

pub(crate) async fn list_unrevoked(pool: Pool, filter: KeyQuery) -> Result<UnrevokedKeys, Unavailable> {
    let keys: Result<Vec<_>, _> = with_pool!(&pool, pool => {
        let mut session = pool.session().await.map_err(read_error)?;
        let select = statement::list_unrevoked(&filter).persistent(pool.keeps_statements());
        let rows = select.fetch_all(session.connection()).await.map_err(read_error)?;
        session.finish().await.map_err(read_error)?;
        rows.iter().map(decode_id).collect()
    });
    Ok(UnrevokedKeys::cut(keys?, &filter))
}

pub(crate) async fn insert(pool: &Pool, record: &KeyRecord) -> Result<(), KeyError> {
    with_pool!(pool, pool => {
        let insert = statement::insert(record)?.persistent(pool.keeps_statements());
        let mut session = pool.session().await.map_err(write_error)?;
        insert.execute(session.connection()).await.map_err(write_error)?;
        session.finish().await.map_err(write_error)
    })
}

/// Adds a record after all records that were added before; the position is locked until the record can be read.
pub(crate) async fn append(pool: &Pool, addition: KeyAddition) -> Result<KeyId, KeyError> {
    add(pool, addition, Order::Last).await
}

/// The id of a record that is added.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Order {
    /// Its own id.
    AsGiven,
    /// An id after all that were appended before.
    Last,
}

async fn add(pool: &Pool, addition: KeyAddition, order: Order) -> Result<KeyId, KeyError> {
    let mut record = addition.record.clone();
    with_pool!(pool, pool => {
        let mut transaction = pool.begin_write().await.map_err(write_error)?;
        let position = record.id.position().filter(|_| order == Order::Last);
        if let Some(position) = position.and_then(|position| i64::try_from(position).ok()) {
            let advance = query_scalar::<_, i64>(statement::ADVANCE).persistent(pool.keeps_statements());
            let next = advance.bind(position).fetch_one(&mut *transaction).await.map_err(write_error)?;
            record.id = record.id.after(u64::try_from(next).unwrap_or_default().saturating_sub(1));
        }
        if let Some((id, until)) = &addition.replaces {
            let replace = query(statement::REPLACE).persistent(pool.keeps_statements());
            let replace = replace.bind(id.as_str()).bind(record.id.as_str()).bind(seconds(*until));
            if replace.execute(&mut *transaction).await.map_err(write_error)?.rows_affected() == 0 {
                let count = query_scalar::<_, i64>(statement::EXISTS).persistent(pool.keeps_statements());
                let count = count.bind(id.as_str()).fetch_one(&mut *transaction).await.map_err(write_error)?;
                return Err(refused(count, KeyErrorKind::Inactive));
            }
            if addition.copied_from.is_some() {
                // The row is locked by now: no update comes in between. An error rolls the replacement back.
                let get = query(statement::GET).persistent(pool.keeps_statements()).bind(id.as_str());
                let row = get.fetch_one(&mut *transaction).await.map_err(write_error)?;
                check_current(addition.is_current(&*decode(&row).map_err(Unavailable::from)?))?;
            }
        }
        let insert = statement::insert(&record)?.persistent(pool.keeps_statements());
        insert.execute(&mut *transaction).await.map_err(write_error)?;
        transaction.commit().await.map_err(write_error)?;
        Ok(record.id)
    })
}

pub(crate) async fn revoke(pool: &Pool, id: &KeyId, at: UnixTime) -> Result<(), KeyError> {
    with_pool!(pool, pool => {
        let mut session = pool.session().await.map_err(write_error)?;
        let revoke = query(statement::REVOKE).persistent(pool.keeps_statements()).bind(id.as_str()).bind(seconds(at));
        let revoked = revoke.execute(session.connection()).await.map_err(write_error)?.rows_affected();
        session.finish().await.map_err(write_error)?;
        if revoked == 0 { Err(KeyError::new(KeyErrorKind::NotFound)) } else { Ok(()) }
    })
}

pub(crate) async fn rotate(pool: &Pool, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Result<(), KeyError> {
    add(pool, KeyAddition::replacing(successor, id.clone(), until), Order::AsGiven).await.map(drop)
}

pub(crate) async fn update(pool: &Pool, id: &KeyId, update: &KeyUpdate) -> Result<(), KeyError> {
    with_pool!(pool, pool => {
        let change = statement::update(id, update)?.persistent(pool.keeps_statements());
        let mut transaction = pool.begin_write().await.map_err(write_error)?;
        if update.checked.is_some() {
            // No other update comes between the check and the change.
            let lock = query(statement::LOCK).persistent(pool.keeps_statements()).bind(id.as_str());
            if lock.execute(&mut *transaction).await.map_err(write_error)?.rows_affected() > 0 {
                let get = query(statement::GET).persistent(pool.keeps_statements()).bind(id.as_str());
                let row = get.fetch_one(&mut *transaction).await.map_err(write_error)?;
                check_current(update.is_current(&*decode(&row).map_err(Unavailable::from)?))?;
            }
        }
        if change.execute(&mut *transaction).await.map_err(write_error)?.rows_affected() == 0 {
            let count = query_scalar::<_, i64>(statement::EXISTS).persistent(pool.keeps_statements());
            let count = count.bind(id.as_str()).fetch_one(&mut *transaction).await.map_err(write_error)?;
            return Err(refused(count, KeyErrorKind::Inactive));
        }
        transaction.commit().await.map_err(write_error)
    })
}

pub(crate) async fn purge(pool: &Pool, id: &KeyId, at: UnixTime) -> Result<(), KeyError> {
    with_pool!(pool, pool => {
        let mut transaction = pool.begin_write().await.map_err(write_error)?;
        let purge = query(statement::PURGE).persistent(pool.keeps_statements()).bind(id.as_str()).bind(seconds(at));
        if purge.execute(&mut *transaction).await.map_err(write_error)?.rows_affected() == 0 {
            let count = query_scalar::<_, i64>(statement::EXISTS).persistent(pool.keeps_statements());
            let count = count.bind(id.as_str()).fetch_one(&mut *transaction).await.map_err(write_error)?;
            return Err(refused(count, KeyErrorKind::Active));
        }
        transaction.commit().await.map_err(write_error)
    })
}

/// Refuses a change of a key that was changed since it was read.
fn check_current(is_current: bool) -> Result<(), KeyError> {
    if is_current { Ok(()) } else { Err(KeyError::new(KeyErrorKind::Conflict)) }
}

/// The error of a statement that changed no row, by the number of rows with the id of the key.
fn refused(count: i64, kind: KeyErrorKind) -> KeyError {
    KeyError::new(if count == 0 { KeyErrorKind::NotFound } else { kind })
}
