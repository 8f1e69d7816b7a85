use std::{fmt, sync::Arc};

use tower_warden::UnixTime;

/// A value and its version, with the value before it while both are valid.
///
/// During a rotation, a client sends the [current](Self::current) value, and a server accepts every one that is
/// [valid](Self::valid).
///
/// # Examples
///
/// ```
/// use tower_warden::UnixTime;
/// use tower_warden_client::secret::{Secret, Versioned};
///
/// let noon = UnixTime::from_secs(43_200);
/// let before = Versioned::new(Secret::new("whsec_of_last_month"), 1);
/// let after = before.rotated(Secret::new("whsec_of_this_month"), 2, noon);
///
/// assert_eq!(after.current().expose(), "whsec_of_this_month");
/// let is_valid = |text: &str, now| after.valid(now).any(|secret| **secret == Secret::new(text));
/// assert!(is_valid("whsec_of_last_month", UnixTime::from_secs(43_199)));
/// assert!(!is_valid("whsec_of_last_month", noon));
/// ```
pub struct Versioned<T> {
    current: Arc<T>,
    version: u64,
    previous: Option<(Arc<T>, UnixTime)>,
}

impl<T> Versioned<T> {
    /// Creates a version without a predecessor.
    #[must_use]
    pub fn new(current: impl Into<Arc<T>>, version: u64) -> Self {
        Self { current: current.into(), version, previous: None }
    }

    /// Creates the next version. The current value becomes the previous one, and is valid until `end`.
    ///
    /// A value that was already the previous one is no longer kept: two values are valid at most.
    #[must_use]
    pub fn rotated(&self, current: impl Into<Arc<T>>, version: u64, end: UnixTime) -> Self {
        Self { current: current.into(), version, previous: Some((Arc::clone(&self.current), end)) }
    }

    /// The value to use.
    #[must_use]
    pub fn current(&self) -> &Arc<T> {
        &self.current
    }

    /// The number of the version. It increases with each change, and is not derived from the value.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The value before the current one, if it is still valid.
    #[must_use]
    pub fn previous(&self, now: UnixTime) -> Option<&Arc<T>> {
        self.previous.as_ref().filter(|(_, end)| now < *end).map(|(value, _)| value)
    }

    /// The time at which the previous value ceases to be valid.
    #[must_use]
    pub fn previous_until(&self) -> Option<UnixTime> {
        self.previous.as_ref().map(|(_, end)| *end)
    }

    /// The values that are valid, the current one first.
    pub fn valid(&self, now: UnixTime) -> impl Iterator<Item = &Arc<T>> {
        std::iter::once(&self.current).chain(self.previous(now))
    }

    /// Drops the previous value if it is no longer valid, which overwrites a secret.
    pub(super) fn forget_expired(&mut self, now: UnixTime) {
        if self.previous.as_ref().is_some_and(|(_, end)| *end <= now) {
            self.forget_previous();
        }
    }

    /// Drops the previous value.
    pub(super) fn forget_previous(&mut self) {
        self.previous = None;
    }
}

/// Shares the values.
impl<T> Clone for Versioned<T> {
    fn clone(&self) -> Self {
        Self { current: Arc::clone(&self.current), version: self.version, previous: self.previous.clone() }
    }
}

/// Without the values.
impl<T> fmt::Debug for Versioned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Versioned")
            .field("version", &self.version)
            .field("previous_until", &self.previous_until())
            .finish_non_exhaustive()
    }
}
