//! The statements that both databases understand.

use sqlx::{Database, Encode, IntoArguments, Type, query, query::Query};

use super::{
    super::{
        error::KeyError,
        record::{KeyId, KeyRecord},
        store::KeyQuery,
    },
    failure::invalid,
    row::{seconds, spaced},
};
use crate::time::UnixTime;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, digest, owner, tenant, name, scopes, tier, networks, created_at, expires_at, revoked_at, ",
            "last_used_at, replaced_by, replaced_until, metadata, confirmation FROM tower_warden_api_keys ",
            $rest
        )
    };
}

pub(super) const EXISTS: &str = "SELECT count(*) FROM tower_warden_api_keys WHERE id = $1";
pub(super) const FIND: &str = select!("WHERE digest = $1");
pub(super) const GET: &str = select!("WHERE id = $1");
pub(super) const REPLACE: &str = "UPDATE tower_warden_api_keys SET replaced_by = $2, replaced_until = $3 \
     WHERE id = $1 AND revoked_at IS NULL AND replaced_by IS NULL";
pub(super) const REVOKE: &str = "UPDATE tower_warden_api_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";

const INSERT: &str = "INSERT INTO tower_warden_api_keys \
     (id, digest, owner, tenant, name, scopes, tier, networks, created_at, expires_at, revoked_at, last_used_at, \
     replaced_by, replaced_until, metadata, confirmation) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

/// One statement for each question, so that each has the plan of its index.
const LIST: &str = select!("WHERE id > $1 ORDER BY id LIMIT $2");
const LIST_OWNER: &str = select!("WHERE id > $1 AND owner = $3 ORDER BY id LIMIT $2");
const LIST_OWNER_OF_TENANT: &str = select!("WHERE id > $1 AND owner = $3 AND tenant = $4 ORDER BY id LIMIT $2");
const LIST_TENANT: &str = select!("WHERE id > $1 AND tenant = $3 ORDER BY id LIMIT $2");

/// Whether a text has what Postgres cannot store; refused for SQLite too, so that keys can be moved.
pub(super) fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

/// Adds a record.
pub(super) fn insert<'q, D>(record: &KeyRecord) -> Result<Query<'q, D, D::Arguments<'q>>, KeyError>
where
    D: Database,
    D::Arguments<'q>: IntoArguments<'q, D>,
    i64: Encode<'q, D> + Type<D>,
    String: Encode<'q, D> + Type<D>,
    Option<i64>: Encode<'q, D>,
    Option<String>: Encode<'q, D>,
{
    let texts = [Some(&record.owner), record.tenant.as_ref(), Some(&record.name), record.tier.as_ref()];
    if texts.into_iter().flatten().any(|text| has_nul(text)) {
        return Err(invalid("a text of the key has a NUL character"));
    }
    let metadata = serde_json::to_string(&record.metadata).map_err(|_| invalid("the metadata is no JSON"))?;
    let confirmation = record.confirmation.as_ref().map(serde_json::to_string).transpose();
    let confirmation = confirmation.map_err(|_| invalid("what the key is bound to is no JSON"))?;
    let optional = |time: Option<UnixTime>| time.map(seconds);
    Ok(query(INSERT)
        .bind(record.id.to_string())
        .bind(record.digest.to_string())
        .bind(record.owner.clone())
        .bind(record.tenant.clone())
        .bind(record.name.clone())
        .bind(record.scopes.to_string())
        .bind(record.tier.clone())
        .bind(spaced(&record.networks))
        .bind(seconds(record.created_at))
        .bind(optional(record.expires_at))
        .bind(optional(record.revoked_at))
        .bind(optional(record.last_used_at))
        .bind(record.replaced.as_ref().map(|replaced| replaced.by.to_string()))
        .bind(optional(record.replaced.as_ref().map(|replaced| replaced.until)))
        .bind(metadata)
        .bind(confirmation))
}

/// Reads a page, and one record more.
pub(super) fn list<'q, D>(asked: &'q KeyQuery) -> Query<'q, D, D::Arguments<'q>>
where
    D: Database,
    &'q str: Encode<'q, D> + Type<D>,
    i64: Encode<'q, D> + Type<D>,
{
    let text = match (&asked.owner, &asked.tenant) {
        (None, None) => LIST,
        (None, Some(_)) => LIST_TENANT,
        (Some(_), None) => LIST_OWNER,
        (Some(_), Some(_)) => LIST_OWNER_OF_TENANT,
    };
    // No id is empty, so that all are behind the empty one.
    let after = asked.after.as_ref().map_or("", KeyId::as_str);
    let filters = asked.owner.iter().chain(&asked.tenant);
    let query = query(text).bind(after).bind(i64::from(asked.page_size()) + 1);
    filters.fold(query, |query, filter| query.bind(filter.as_str()))
}
