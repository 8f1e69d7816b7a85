//! A record as a row, and back.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use sqlx::{ColumnIndex, Decode, Row, Type};

use super::{
    super::record::{KeyId, KeyRecord, Replacement},
    failure::Malformed,
};
use crate::{caller::Confirmation, error::ConfigError, request::Network, scope::Scopes, time::UnixTime};

/// Reads a record, or nothing at all: a key whose scopes cannot be read does not hold them all, nor none.
pub(super) fn decode<'r, R>(row: &'r R) -> Result<Arc<KeyRecord>, Malformed>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    let id = Columns { row, id: None }.parsed("id", KeyId::parse)?;
    let columns = Columns { row, id: Some(&id) };
    Ok(Arc::new(KeyRecord {
        digest: columns.parsed("digest", FromStr::from_str)?,
        owner: columns.get("owner")?,
        tenant: columns.get("tenant")?,
        name: columns.get("name")?,
        scopes: columns.parsed("scopes", Scopes::parse)?,
        tier: columns.get("tier")?,
        networks: columns.parsed("networks", networks)?,
        confirmation: columns.confirmation()?,
        created_at: columns.time("created_at")?.ok_or_else(|| columns.malformed("created_at"))?,
        expires_at: columns.time("expires_at")?,
        revoked_at: columns.time("revoked_at")?,
        last_used_at: columns.time("last_used_at")?,
        replaced: columns.replaced()?,
        metadata: columns.parsed("metadata", metadata)?,
        id: id.clone(),
    }))
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
    fn get<T: Decode<'r, R::Database> + Type<R::Database>>(&self, column: &'static str) -> Result<T, Malformed> {
        self.row.try_get(column).map_err(|_| self.malformed(column))
    }

    fn parsed<T, E>(&self, column: &'static str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, Malformed> {
        let text: String = self.get(column)?;
        parse(&text).map_err(|_| self.malformed(column))
    }

    fn time(&self, column: &'static str) -> Result<Option<UnixTime>, Malformed> {
        let seconds: Option<i64> = self.get(column)?;
        let time = |seconds| u64::try_from(seconds).map(UnixTime::from_secs).map_err(|_| self.malformed(column));
        seconds.map(time).transpose()
    }

    fn replaced(&self) -> Result<Option<Replacement>, Malformed> {
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

    /// A key whose binding cannot be read is bound to what nobody has, not to nothing.
    fn confirmation(&self) -> Result<Option<Confirmation>, Malformed> {
        let text: Option<String> = self.get("confirmation")?;
        let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
        parsed.map_err(|_| self.malformed("confirmation"))
    }

    fn malformed(&self, column: &'static str) -> Malformed {
        Malformed { column, id: self.id.cloned() }
    }
}

fn metadata(text: &str) -> Result<BTreeMap<String, String>, serde_json::Error> {
    serde_json::from_str(text)
}

/// Stricter than scopes are read: no network means anywhere, so that only an empty text may say so.
fn networks(text: &str) -> Result<Vec<Network>, ConfigError> {
    match text {
        "" => Ok(Vec::new()),
        text => text.split(' ').map(str::parse).collect(),
    }
}

/// Networks, separated by single spaces.
pub(super) fn spaced(networks: &[Network]) -> String {
    let texts: Vec<_> = networks.iter().map(Network::to_string).collect();
    texts.join(" ")
}

/// Seconds as the databases count them; what is past their end is never reached.
pub(super) fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_all_read_or_none() {
        let read = |text| networks(text).map(|networks| spaced(&networks)).ok();
        assert_eq!(read(""), Some(String::new()));
        assert_eq!(read("10.0.0.0/8 2001:db8::/32"), Some("10.0.0.0/8 2001:db8::/32".into()));
        for text in [" ", "10.0.0.0/8  ", "10.0.0.0/8,192.0.2.0/24", "10.0.0.0/8 anywhere"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_time_past_the_databases_end_is_their_last() {
        assert_eq!(seconds(UnixTime::from_secs(7)), 7);
        assert_eq!(seconds(UnixTime::from_secs(u64::MAX)), i64::MAX);
    }
}
