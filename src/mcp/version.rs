//! Versions of the protocol.

use super::{header::Field, refusal};
use crate::refusal::Rejection;

/// The method that subscribes to changes of several objects, since 2026-07-28: no message of a batch names more than one.
const SUBSCRIPTIONS: &str = "subscriptions/listen";

/// A version of the protocol. Later ones are greater.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum McpVersion {
    /// 2024-11-05, which servers may choose behind the transport of later versions.
    V2024_11_05,
    /// 2025-03-26, which is also assumed of requests that state none. The only one with batches.
    V2025_03_26,
    /// 2025-06-18.
    V2025_06_18,
    /// 2025-11-25, the last one with sessions.
    V2025_11_25,
    /// 2026-07-28.
    V2026_07_28,
}

impl McpVersion {
    const ALL: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];

    /// The version as text, such as `2025-11-25`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Returns whether requests are independent of each other, without sessions.
    pub(super) fn is_stateless(self) -> bool {
        self >= Self::V2026_07_28
    }

    pub(super) fn has_batches(self) -> bool {
        self == Self::V2025_03_26
    }

    /// Returns whether the version has this method, if another one has it.
    pub(super) fn has(self, method: &str) -> bool {
        const REMOVED: [&str; 4] = ["resources/subscribe", "resources/unsubscribe", "tasks/list", "tasks/result"];
        if self.is_stateless() { !REMOVED.contains(&method) } else { method != SUBSCRIPTIONS }
    }

    /// The version that a request states in its header field; 2025-03-26 without one.
    pub(super) fn of(field: Field<'_>) -> Result<Self, Rejection> {
        let Some(text) = field.text()? else { return Ok(Self::V2025_03_26) };
        let known = Self::ALL.into_iter().find(|version| version.as_str() == text);
        known.ok_or_else(|| refusal::unsupported_version(text))
    }

    /// All versions, in the order of time.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(Self::as_str)
    }
}
