//! Quotas that apply together.

use std::{fmt, sync::Arc};

use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::{fields, gcra::Gcra, limit_key::word, quota::Quota, window::Windows};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    striped::Striped,
};

/// One to eight quotas that apply together: a request takes units from each of them, or is refused and takes none.
///
/// Each quota has a distinct name. Clones share their data. Create a set once, and not for each request: it is prepared for
/// many.
///
/// # Examples
///
/// ```
/// use tower_warden::rate_limit::{Quota, QuotaSet};
///
/// let pro = QuotaSet::new([Quota::per_second(50).burst(100), Quota::per_day(100_000)])?;
/// assert_eq!(pro.quotas().count(), 2);
/// assert!(QuotaSet::new([Quota::per_second(1), Quota::per_second(2)]).is_err());
///
/// // Wherever a set is expected, an array of literals is converted.
/// let free = QuotaSet::from([Quota::per_minute(60), Quota::per_day(1_000)]);
/// assert_eq!(free.quotas().count(), 2);
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct QuotaSet(Arc<Shared>);

struct Shared {
    limits: Box<[Limit]>,
    has_windows: bool,
    /// Formatted once, with one copy for each thread.
    policy: Striped<HeaderValue>,
}

/// A quota, and what is computed from it once.
pub(super) struct Limit {
    pub(super) quota: Quota,
    pub(super) gcra: Gcra,
    /// The first eight bytes of a digest of the name and the numbers.
    pub(super) id: u64,
}

impl QuotaSet {
    /// The maximum number of quotas.
    pub(super) const MAX: usize = 8;

    /// Creates a set.
    ///
    /// # Errors
    ///
    /// If there are no quotas or more than eight, or if two quotas have the same name.
    pub fn new(quotas: impl IntoIterator<Item = Quota>) -> Result<Self, ConfigError> {
        let quotas: Vec<_> = quotas.into_iter().collect();
        let refused = |message| ConfigError::new(ConfigErrorKind::Quota, message);
        if quotas.is_empty() || quotas.len() > Self::MAX {
            return Err(refused("a set has one to eight quotas").value(quotas.len()));
        }
        let is_repeated = |index: &usize| quotas[..*index].iter().any(|quota| quota.name() == quotas[*index].name());
        if let Some(index) = (1..quotas.len()).find(is_repeated) {
            return Err(refused("the quotas of a set have distinct names").value(quotas[index].name()));
        }
        Ok(Self::of(quotas))
    }

    /// The quotas, in their order.
    #[must_use]
    pub fn quotas(&self) -> impl ExactSizeIterator<Item = &Quota> {
        self.0.limits.iter().map(|limit| &limit.quota)
    }

    /// Returns whether one of the quotas is [in windows](Quota::has_fixed_windows).
    #[must_use]
    pub fn has_windows(&self) -> bool {
        self.0.has_windows
    }

    pub(super) fn limits(&self) -> &[Limit] {
        &self.0.limits
    }

    /// The value of `RateLimit-Policy`.
    pub(super) fn policy(&self) -> &HeaderValue {
        self.0.policy.mine()
    }

    fn of(quotas: Vec<Quota>) -> Self {
        let policy = Striped::new(|| fields::policy(&quotas));
        let has_windows = quotas.iter().any(Quota::has_fixed_windows);
        Self(Arc::new(Shared { limits: quotas.into_iter().map(Limit::new).collect(), has_windows, policy }))
    }
}

/// A set of one quota.
impl From<Quota> for QuotaSet {
    fn from(quota: Quota) -> Self {
        Self::of(vec![quota])
    }
}

/// A set of quotas that are known when the program is written.
///
/// # Panics
///
/// If there are no quotas or more than eight, or if two have the same name: [`QuotaSet::new`] returns an error for that.
impl<const N: usize> From<[Quota; N]> for QuotaSet {
    fn from(quotas: [Quota; N]) -> Self {
        match Self::new(quotas) {
            Ok(quotas) => quotas,
            Err(error) => panic!("{error}"),
        }
    }
}

impl fmt::Debug for QuotaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QuotaSet").field(&self.quotas().collect::<Vec<_>>()).finish()
    }
}

impl Limit {
    fn new(quota: Quota) -> Self {
        let (count, seconds, burst) = (quota.count(), quota.period().as_secs(), quota.burst_size());
        let kind = match quota.windows() {
            Windows::None => String::new(),
            Windows::Fixed => " fixed".to_owned(),
            Windows::Days(offset) => format!(" days {}", offset.as_minutes()),
            Windows::Months(offset) => format!(" months {}", offset.as_minutes()),
        };
        let identity = format!("{count} {seconds} {burst} {}{kind}", quota.name());
        let id = word(&Sha256::digest(identity.as_bytes()).into());
        Self { gcra: Gcra::new(&quota, 1), id, quota }
    }
}
