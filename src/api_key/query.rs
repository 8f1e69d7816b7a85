use std::{num::NonZeroU16, sync::Arc};

use super::{key_id::KeyId, record::KeyRecord};
use crate::time::UnixTime;

/// A selection of records to list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeyQuery {
    /// Selects the records after this id; from the first one if `None`.
    pub after: Option<KeyId>,
    /// The maximum number of records, at most 1000; 100 if `None`.
    pub limit: Option<NonZeroU16>,
    /// Selects the records of this owner.
    pub owner: Option<String>,
    /// Selects the records of this tenant.
    pub tenant: Option<String>,
}

impl KeyQuery {
    /// Selects the records after this id.
    #[must_use]
    pub fn after(mut self, id: KeyId) -> Self {
        self.after = Some(id);
        self
    }

    /// Sets the maximum number of records.
    #[must_use]
    pub const fn limit(mut self, limit: NonZeroU16) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Selects the records of this owner.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// Selects the records of this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// The maximum number of records on a page: from 1 to 1000.
    #[must_use]
    pub fn page_size(&self) -> u16 {
        self.limit.map_or(100, NonZeroU16::get).min(1000)
    }

    /// Returns whether a record is selected, whatever page it is on.
    #[must_use]
    pub fn selects(&self, record: &KeyRecord) -> bool {
        self.after.as_ref().is_none_or(|after| record.id > *after)
            && self.owner.as_ref().is_none_or(|owner| record.owner == *owner)
            && self.tenant.as_ref().is_none_or(|tenant| record.tenant.as_ref() == Some(tenant))
    }
}

/// A page of records.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeyPage {
    /// The records, in the order of their ids.
    pub keys: Vec<Arc<KeyRecord>>,
    /// The id after which the next page begins; `None` on the last page.
    pub next: Option<KeyId>,
}

impl KeyPage {
    /// Creates a page from the selected records, of which a store reads one more than [`KeyQuery::page_size`]: if that one
    /// is present, there is a next page.
    #[must_use]
    pub fn cut(mut keys: Vec<Arc<KeyRecord>>, query: &KeyQuery) -> Self {
        let size = usize::from(query.page_size());
        let has_more = keys.len() > size;
        keys.truncate(size);
        let next = keys.last().filter(|_| has_more).map(|key| key.id.clone());
        Self { keys, next }
    }
}

/// A page of keys that are not revoked.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct UnrevokedKeys {
    /// The ids of the keys, in their order, with the times of creation.
    pub keys: Vec<(KeyId, UnixTime)>,
    /// The id after which the next page begins; `None` on the last page.
    pub next: Option<KeyId>,
}

impl UnrevokedKeys {
    /// Creates a page as [`KeyPage::cut`] does.
    #[must_use]
    pub fn cut(mut keys: Vec<(KeyId, UnixTime)>, query: &KeyQuery) -> Self {
        let size = usize::from(query.page_size());
        let has_more = keys.len() > size;
        keys.truncate(size);
        let next = keys.last().filter(|_| has_more).map(|(id, _)| id.clone());
        Self { keys, next }
    }

    /// The keys of a page of records that a filter accepts.
    pub(super) fn among(page: &KeyPage, is_selected: impl Fn(&KeyRecord) -> bool) -> Self {
        let keys = page.keys.iter().filter(|key| is_selected(key)).map(|key| (key.id.clone(), key.created_at));
        Self { keys: keys.collect(), next: page.next.clone() }
    }
}

/// The last use of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeyUse {
    /// The id of the key.
    pub id: KeyId,
    /// The time of the use.
    pub at: UnixTime,
}

impl KeyUse {
    /// Creates a use of a key.
    #[must_use]
    pub const fn new(id: KeyId, at: UnixTime) -> Self {
        Self { id, at }
    }
}
