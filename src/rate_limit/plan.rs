//! Quotas that are counted together.

use std::{fmt, sync::Arc};

use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::{fields, gcra::Gcra, quota::Quota};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    striped::Striped,
};

/// Quotas that a request is counted against all at once: it takes from each of them, or is refused and takes from none.
///
/// From one to eight, with names of their own; clones share everything.
///
/// ```
/// use tower_warden::rate_limit::{QuotaSet, Quota};
///
/// let pro = QuotaSet::new([Quota::per_second(50).burst(100), Quota::per_day(100_000)])?;
/// assert_eq!(pro.quotas().count(), 2);
/// assert!(QuotaSet::new([Quota::per_second(1), Quota::per_second(2)]).is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct QuotaSet(Arc<Terms>);

struct Terms {
    limits: Box<[Limit]>,
    /// Made once, and the same for each thread.
    policy: Striped<HeaderValue>,
}

/// A quota, and what is made of it once.
pub(super) struct Limit {
    pub(super) quota: Quota,
    pub(super) gcra: Gcra,
    /// In whole microseconds, as Redis counts.
    pub(super) coarse: Gcra,
    /// What tells it from other quotas.
    pub(super) id: u64,
}

impl QuotaSet {
    /// How many quotas a plan may have.
    pub(super) const MOST: usize = 8;

    /// Quotas that are counted together.
    ///
    /// # Errors
    ///
    /// If there is none, or more than eight, or two have one name.
    pub fn new(quotas: impl IntoIterator<Item = Quota>) -> Result<Self, ConfigError> {
        let quotas: Vec<_> = quotas.into_iter().collect();
        let refused = |message| Err(ConfigError::new(ConfigErrorKind::Quota, message));
        if quotas.is_empty() || quotas.len() > Self::MOST {
            return refused("a plan has from one to eight quotas");
        }
        let is_repeated = |index: usize| quotas[..index].iter().any(|quota| quota.name() == quotas[index].name());
        if (1..quotas.len()).any(is_repeated) {
            return refused("the quotas of a plan have names of their own");
        }
        Ok(Self::of(quotas))
    }

    /// The quotas, in their order.
    #[must_use]
    pub fn quotas(&self) -> impl ExactSizeIterator<Item = &Quota> {
        self.0.limits.iter().map(|limit| &limit.quota)
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
        Self(Arc::new(Terms { limits: quotas.into_iter().map(Limit::new).collect(), policy }))
    }
}

/// A plan of one quota.
impl From<Quota> for QuotaSet {
    fn from(quota: Quota) -> Self {
        Self::of(vec![quota])
    }
}

impl fmt::Debug for QuotaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plan").field(&self.quotas().collect::<Vec<_>>()).finish()
    }
}

impl Limit {
    fn new(quota: Quota) -> Self {
        let gcra = Gcra::new(quota.interval_in(1_000_000_000), quota.burst_size());
        let coarse = Gcra::new(quota.interval_in(1_000_000) * 1_000, quota.burst_size());
        // The numbers too: one name with other numbers is another quota.
        let (count, seconds, burst) = (quota.count(), quota.period().as_secs(), quota.burst_size());
        let identity = format!("{count} {seconds} {burst} {}", quota.name());
        let digest = Sha256::digest(identity.as_bytes());
        let id = digest[..8].try_into().map_or(0, u64::from_be_bytes);
        Self { quota, gcra, coarse, id }
    }
}
