//! The fields that tell clients where they stand: draft-ietf-httpapi-ratelimit-headers-10.

use std::{io::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{limiter::LimitStatus, plan::QuotaSet, quota::Quota};
use crate::refusal::Rejection;

/// Which fields tell clients where they stand.
///
/// `Retry-After` is on every refusal, whatever this says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum RateLimitFields {
    /// `RateLimit-Policy` with all quotas and `RateLimit` with the tightest, as the draft has them.
    #[default]
    Draft,
    /// The same, and the older `X-RateLimit-Limit`, `-Remaining` and `-Reset` (in seconds from now) of the tightest.
    DraftAndLegacy,
    /// None.
    Silent,
}

/// The fields of one response.
#[derive(Debug)]
pub(crate) enum Fields {
    Draft([HeaderValue; 2]),
    DraftAndLegacy([HeaderValue; 5]),
    Silent,
}

impl Fields {
    /// Tells of where a caller stands with a plan.
    pub(crate) fn new(kind: RateLimitFields, plan: &QuotaSet, standing: &LimitStatus) -> Self {
        let quota = &plan.limits()[standing.quota].quota;
        let draft = || (plan.policy().clone(), limit(standing, quota));
        match kind {
            RateLimitFields::Draft => Self::Draft(draft().into()),
            RateLimitFields::DraftAndLegacy => {
                let (policy, limit) = draft();
                let (most, _) = quota.window();
                let (left, reset) = (standing.remaining.into(), seconds(standing.reset).into());
                Self::DraftAndLegacy([policy, limit, most.into(), left, reset])
            }
            RateLimitFields::Silent => Self::Silent,
        }
    }

    /// Tells of a quota of requests in flight.
    pub(crate) fn concurrency(policy: &HeaderValue, name: &str, left: u32) -> Self {
        Self::Draft([policy.clone(), render(format_args!("\"{name}\";r={left}"))])
    }

    /// Adds them to those of other layers: they are lists.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        for (name, value) in self.pairs() {
            if name == POLICY || name == LIMIT {
                headers.append(name, value);
            } else {
                // Of the older ones there is one each: the innermost layer's.
                headers.entry(name).or_insert(value);
            }
        }
    }

    /// Adds them to a refusal.
    pub(super) fn refuse(self, rejection: Rejection) -> Rejection {
        self.pairs().fold(rejection, |rejection, (name, value)| rejection.response_field(name, value))
    }

    fn pairs(self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let (draft, legacy) = match self {
            Self::Draft(draft) => (Some(draft), None),
            Self::DraftAndLegacy([policy, limit, most, left, reset]) => {
                (Some([policy, limit]), Some([most, left, reset]))
            }
            Self::Silent => (None, None),
        };
        let draft = [POLICY, LIMIT].into_iter().zip(draft.into_iter().flatten());
        draft.chain(LEGACY.into_iter().zip(legacy.into_iter().flatten()))
    }
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const LEGACY: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// The value of `RateLimit-Policy` for quotas of requests.
pub(super) fn policy(quotas: &[Quota]) -> HeaderValue {
    let items = quotas.iter().map(|quota| {
        let (count, seconds) = quota.window();
        format!("\"{}\";q={count};w={seconds}", quota.name())
    });
    value(items.collect::<Vec<_>>().join(", ").as_bytes())
}

/// The value of `RateLimit-Policy` for a quota of requests in flight.
pub(crate) fn concurrency_policy(name: &str, most: u32) -> HeaderValue {
    value(format!("\"{name}\";q={most};qu=\"concurrent-requests\"").as_bytes())
}

fn limit(standing: &LimitStatus, quota: &Quota) -> HeaderValue {
    let (name, left, seconds) = (quota.name(), standing.remaining, seconds(standing.reset));
    render(format_args!("\"{name}\";r={left};t={seconds}"))
}

/// Whole seconds, rounded up: who waits for them has waited for long enough.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

/// Formats on the stack, so that only the value is allocated.
fn render(text: std::fmt::Arguments<'_>) -> HeaderValue {
    // A name has 64 bytes at the most, the numbers have 30.
    let mut buffer = [0; 128];
    let mut free = &mut buffer[..];
    free.write_fmt(text).expect("it is long enough");
    let left = free.len();
    value(&buffer[..128 - left])
}

fn value(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).expect("names are visible ASCII, and so is the rest")
}
