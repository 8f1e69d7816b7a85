//! Conversion between records and rows.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use sqlx::{ColumnIndex, Decode, Row, Type};
use tower_warden::{
    ConfigError, UnixTime,
    api_key::{KeyId, KeyRecord, Replacement},
    caller::Confirmation,
    request::Network,
    scope::Scopes,
};

use crate::error::MalformedRow;

/// Reads a record. A column that cannot be read is an error: a key with malformed scopes holds neither all scopes nor none.
pub(crate) fn decode<'r, R>(row: &'r R) -> Result<Arc<KeyRecord>, MalformedRow>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    let id = Columns { row, id: None }.parsed("id", KeyId::parse)?;
    let columns = Columns { row, id: Some(&id) };
    let digest = columns.parsed("digest", FromStr::from_str)?;
    let owner: String = columns.get("owner")?;
    let created_at = columns.time("created_at")?.ok_or_else(|| columns.malformed("created_at"))?;
    let mut record = KeyRecord::new(id.clone(), digest, owner, created_at);
    record.tenant = columns.get("tenant")?;
    record.name = columns.get("name")?;
    record.scopes = columns.parsed("scopes", Scopes::parse)?;
    record.tier = columns.get("tier")?;
    record.networks = columns.parsed("networks", networks)?;
    record.confirmation = columns.confirmation()?;
    record.expires_at = columns.time("expires_at")?;
    record.revoked_at = columns.time("revoked_at")?;
    record.last_used_at = columns.time("last_used_at")?;
    record.replaced = columns.replaced()?;
    record.metadata = columns.parsed("metadata", metadata)?;
    Ok(Arc::new(record))
}

/// Reads the id of a key and the time of its creation, which is 0 if it is malformed: what revokes the key needs the id only.
pub(crate) fn decode_id<'r, R>(row: &'r R) -> Result<(KeyId, UnixTime), MalformedRow>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    let columns = Columns { row, id: None };
    let created_at = columns.time("created_at").ok().flatten();
    Ok((columns.parsed("id", KeyId::parse)?, created_at.unwrap_or_default()))
}

/// Returns whether each field of a record has a column.
///
/// A newer version of `tower-warden` may add fields, for example restrictions. They must not be lost silently.
pub(crate) fn is_representable(record: &KeyRecord) -> bool {
    let KeyRecord { id, digest, owner, created_at, .. } = record.clone();
    let mut stored = KeyRecord::new(id, digest, owner, created_at);
    stored.tenant.clone_from(&record.tenant);
    stored.name.clone_from(&record.name);
    stored.scopes.clone_from(&record.scopes);
    stored.tier.clone_from(&record.tier);
    stored.networks.clone_from(&record.networks);
    stored.confirmation.clone_from(&record.confirmation);
    stored.expires_at = record.expires_at;
    stored.revoked_at = record.revoked_at;
    stored.last_used_at = record.last_used_at;
    stored.replaced.clone_from(&record.replaced);
    stored.metadata.clone_from(&record.metadata);
    stored == *record
}

/// The columns of one row.
struct Columns<'r, 'i, R> {
    row: &'r R,
    id: Option<&'i KeyId>,
}

impl<'r, R> Columns<'r, '_, R>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    fn get<T: Decode<'r, R::Database> + Type<R::Database>>(&self, column: &'static str) -> Result<T, MalformedRow> {
        self.row.try_get(column).map_err(|_| self.malformed(column))
    }

    fn parsed<T, E>(&self, column: &'static str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, MalformedRow> {
        let text: String = self.get(column)?;
        parse(&text).map_err(|_| self.malformed(column))
    }

    fn time(&self, column: &'static str) -> Result<Option<UnixTime>, MalformedRow> {
        let seconds: Option<i64> = self.get(column)?;
        let time = |seconds| u64::try_from(seconds).map(UnixTime::from_secs).map_err(|_| self.malformed(column));
        seconds.map(time).transpose()
    }

    fn replaced(&self) -> Result<Option<Replacement>, MalformedRow> {
        let by: Option<String> = self.get("replaced_by")?;
        match (by, self.time("replaced_until")?) {
            (None, None) => Ok(None),
            (Some(by), Some(until)) => {
                let by = KeyId::parse(&by).map_err(|_| self.malformed("replaced_by"))?;
                Ok(Some(Replacement::new(by, until)))
            }
            _ => Err(self.malformed("replaced_until")),
        }
    }

    /// An unreadable binding is an error: the key must not become a bearer key.
    fn confirmation(&self) -> Result<Option<Confirmation>, MalformedRow> {
        let text: Option<String> = self.get("confirmation")?;
        let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
        parsed.map_err(|_| self.malformed("confirmation"))
    }

    fn malformed(&self, column: &'static str) -> MalformedRow {
        MalformedRow { column, id: self.id.cloned() }
    }
}

fn metadata(text: &str) -> Result<BTreeMap<String, String>, serde_json::Error> {
    serde_json::from_str(text)
}

/// Stricter than the parser of scopes: an empty list admits every address, so that only an empty text may mean that.
fn networks(text: &str) -> Result<Vec<Network>, ConfigError> {
    match text {
        "" => Ok(Vec::new()),
        text => text.split(' ').map(str::parse).collect(),
    }
}

/// Joins networks with single spaces.
pub(crate) fn join(networks: &[Network]) -> String {
    let texts: Vec<_> = networks.iter().map(Network::to_string).collect();
    texts.join(" ")
}

/// The seconds of a time as a `BIGINT`. Later times are stored as the last one.
pub(crate) fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_malformed_network_invalidates_the_list() {
        let read = |text| networks(text).map(|networks| join(&networks)).ok();
        assert_eq!(read(""), Some(String::new()));
        assert_eq!(read("10.0.0.0/8 2001:db8::/32"), Some("10.0.0.0/8 2001:db8::/32".into()));
        for text in [" ", "10.0.0.0/8  ", "10.0.0.0/8,192.0.2.0/24", "10.0.0.0/8 anywhere"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn time_beyond_the_range_of_the_column_is_stored_as_the_last_one() {
        assert_eq!(seconds(UnixTime::from_secs(7)), 7);
        assert_eq!(seconds(UnixTime::from_secs(u64::MAX)), i64::MAX);
    }
}
