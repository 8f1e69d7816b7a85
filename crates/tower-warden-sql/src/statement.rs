//! The statements, which both databases accept.

use sqlx::{Database, Encode, IntoArguments, Type, query, query::Query};
use tower_warden::{
    UnixTime,
    api_key::{KeyError, KeyId, KeyQuery, KeyRecord, KeyUpdate},
};

use crate::{
    error::invalid_record,
    row::{is_representable, join, seconds},
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, digest, owner, tenant, name, scopes, tier, networks, created_at, expires_at, revoked_at, ",
            "last_used_at, replaced_by, replaced_until, metadata, confirmation FROM tower_warden_api_keys ",
            $rest
        )
    };
}

/// Returns the next position, and locks it until the end of the transaction.
pub(crate) const ADVANCE: &str = "UPDATE tower_warden_latest_key \
     SET position = CASE WHEN position < $1 THEN $1 ELSE position + 1 END RETURNING position";
pub(crate) const EXISTS: &str = "SELECT count(*) FROM tower_warden_api_keys WHERE id = $1";
pub(crate) const FIND: &str = select!("WHERE digest = $1");
pub(crate) const GET: &str = select!("WHERE id = $1");
/// Locks a row until the end of the transaction.
pub(crate) const LOCK: &str = "UPDATE tower_warden_api_keys SET name = name WHERE id = $1 AND revoked_at IS NULL";
pub(crate) const PURGE: &str = "DELETE FROM tower_warden_api_keys \
     WHERE id = $1 AND (revoked_at <= $2 OR expires_at <= $2 OR replaced_until <= $2)";
pub(crate) const REPLACE: &str = "UPDATE tower_warden_api_keys SET replaced_by = $2, replaced_until = $3 \
     WHERE id = $1 AND revoked_at IS NULL AND replaced_by IS NULL";
pub(crate) const REVOKE: &str = "UPDATE tower_warden_api_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";

/// NULL keeps a column that is never NULL, and 0 one that may be.
const UPDATE: &str = "UPDATE tower_warden_api_keys SET name = COALESCE($2, name), scopes = COALESCE($3, scopes), \
     networks = COALESCE($4, networks), metadata = COALESCE($5, metadata), \
     tier = CASE WHEN $6 = 1 THEN $7 ELSE tier END, expires_at = CASE WHEN $8 = 1 THEN $9 ELSE expires_at END \
     WHERE id = $1 AND revoked_at IS NULL";

const INSERT: &str = "INSERT INTO tower_warden_api_keys \
     (id, digest, owner, tenant, name, scopes, tier, networks, created_at, expires_at, revoked_at, last_used_at, \
     replaced_by, replaced_until, metadata, confirmation) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

const NUL: &str = "the owner, tenant, name and tier of a key in SQL contain no NUL character";

/// A statement for each combination of filters, so that each is planned with its index.
const LIST: &str = select!("WHERE id > $1 ORDER BY id LIMIT $2");
const LIST_OWNER: &str = select!("WHERE id > $1 AND owner = $3 ORDER BY id LIMIT $2");
const LIST_OWNER_OF_TENANT: &str = select!("WHERE id > $1 AND owner = $3 AND tenant = $4 ORDER BY id LIMIT $2");
const LIST_TENANT: &str = select!("WHERE id > $1 AND tenant = $3 ORDER BY id LIMIT $2");

macro_rules! unrevoked {
    ($filter:literal) => {
        concat!(
            "SELECT id, created_at FROM tower_warden_api_keys WHERE id > $1 AND revoked_at IS NULL ",
            $filter,
            " ORDER BY id LIMIT $2"
        )
    };
}

const UNREVOKED: &str = unrevoked!("");
const UNREVOKED_OWNER: &str = unrevoked!("AND owner = $3");
const UNREVOKED_OWNER_OF_TENANT: &str = unrevoked!("AND owner = $3 AND tenant = $4");
const UNREVOKED_TENANT: &str = unrevoked!("AND tenant = $3");

/// Returns whether a text contains NUL, which Postgres cannot store. It is refused on SQLite too, so that keys can be moved.
pub(crate) fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

/// Inserts a record.
pub(crate) fn insert<'q, D>(record: &KeyRecord) -> Result<Query<'q, D, D::Arguments<'q>>, KeyError>
where
    D: Database,
    D::Arguments<'q>: IntoArguments<'q, D>,
    i64: Encode<'q, D> + Type<D>,
    String: Encode<'q, D> + Type<D>,
    Option<i64>: Encode<'q, D>,
    Option<String>: Encode<'q, D>,
{
    if !is_representable(record) {
        return Err(invalid_record("the key has a field that this version of tower-warden-sql cannot store"));
    }
    let texts = [Some(&record.owner), record.tenant.as_ref(), Some(&record.name), record.tier.as_ref()];
    if texts.into_iter().flatten().any(|text| has_nul(text)) {
        return Err(invalid_record(NUL));
    }
    let metadata = serde_json::to_string(&record.metadata)
        .map_err(|_| invalid_record("the metadata cannot be written as JSON"))?;
    let confirmation = record.confirmation.as_ref().map(serde_json::to_string).transpose();
    let confirmation = confirmation.map_err(|_| invalid_record("the confirmation cannot be written as JSON"))?;
    let optional = |time: Option<UnixTime>| time.map(seconds);
    Ok(query(INSERT)
        .bind(record.id.to_string())
        .bind(record.digest.to_string())
        .bind(record.owner.clone())
        .bind(record.tenant.clone())
        .bind(record.name.clone())
        .bind(record.scopes.to_string())
        .bind(record.tier.clone())
        .bind(join(&record.networks))
        .bind(seconds(record.created_at))
        .bind(optional(record.expires_at))
        .bind(optional(record.revoked_at))
        .bind(optional(record.last_used_at))
        .bind(record.replaced.as_ref().map(|replaced| replaced.by.to_string()))
        .bind(optional(record.replaced.as_ref().map(|replaced| replaced.until)))
        .bind(metadata)
        .bind(confirmation))
}

/// Updates a record.
pub(crate) fn update<'q, D>(id: &KeyId, update: &KeyUpdate) -> Result<Query<'q, D, D::Arguments<'q>>, KeyError>
where
    D: Database,
    D::Arguments<'q>: IntoArguments<'q, D>,
    i64: Encode<'q, D> + Type<D>,
    String: Encode<'q, D> + Type<D>,
    Option<i64>: Encode<'q, D>,
    Option<String>: Encode<'q, D>,
{
    update.check()?;
    if update.name.iter().chain(update.tier.iter().flatten()).any(|text| has_nul(text)) {
        return Err(invalid_record(NUL));
    }
    let metadata = update.metadata.as_ref().map(serde_json::to_string).transpose();
    let metadata = metadata.map_err(|_| invalid_record("the metadata cannot be written as JSON"))?;
    Ok(query(UPDATE)
        .bind(id.to_string())
        .bind(update.name.clone())
        .bind(update.scopes.as_ref().map(ToString::to_string))
        .bind(update.networks.as_deref().map(join))
        .bind(metadata)
        .bind(i64::from(update.tier.is_some()))
        .bind(update.tier.clone().flatten())
        .bind(i64::from(update.expires_at.is_some()))
        .bind(update.expires_at.flatten().map(seconds)))
}

/// Reads a page, and one more record, which shows that there is a next page.
pub(crate) fn list<'q, D>(filter: &'q KeyQuery) -> Query<'q, D, D::Arguments<'q>>
where
    D: Database,
    &'q str: Encode<'q, D> + Type<D>,
    i64: Encode<'q, D> + Type<D>,
{
    page(filter, [LIST, LIST_TENANT, LIST_OWNER, LIST_OWNER_OF_TENANT])
}

/// Reads a page of the ids of keys that are not revoked, and one more.
pub(crate) fn list_unrevoked<'q, D>(filter: &'q KeyQuery) -> Query<'q, D, D::Arguments<'q>>
where
    D: Database,
    &'q str: Encode<'q, D> + Type<D>,
    i64: Encode<'q, D> + Type<D>,
{
    page(filter, [UNREVOKED, UNREVOKED_TENANT, UNREVOKED_OWNER, UNREVOKED_OWNER_OF_TENANT])
}

/// Reads a page by the statement for the filters: none, tenant, owner, both.
fn page<'q, D>(filter: &'q KeyQuery, texts: [&'static str; 4]) -> Query<'q, D, D::Arguments<'q>>
where
    D: Database,
    &'q str: Encode<'q, D> + Type<D>,
    i64: Encode<'q, D> + Type<D>,
{
    let text = texts[2 * usize::from(filter.owner.is_some()) + usize::from(filter.tenant.is_some())];
    // Ids are not empty, so that all of them follow the empty text.
    let after = filter.after.as_ref().map_or("", KeyId::as_str);
    let values = filter.owner.iter().chain(&filter.tenant);
    let query = query(text).bind(after).bind(i64::from(filter.page_size()) + 1);
    values.fold(query, |query, value| query.bind(value.as_str()))
}
