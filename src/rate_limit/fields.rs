//! Response fields that report the state of a limit: draft-ietf-httpapi-ratelimit-headers-10.

use std::{io::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{limiter::LimitStatus, quota::Quota, quota_set::QuotaSet};
use crate::refusal::Rejection;

/// The response fields that report the state of a limit.
///
/// Every refusal also has `Retry-After`, independently of this setting.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum RateLimitFields {
    /// `RateLimit-Policy` with all quotas and `RateLimit` with the tightest one, as in
    /// [draft-ietf-httpapi-ratelimit-headers](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/10/).
    #[default]
    Draft,
    /// The same, and the older `X-RateLimit-Limit`, `-Remaining` and `-Reset` (in seconds from now) of the tightest quota.
    DraftAndLegacy,
    /// No fields.
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
    /// The fields for a caller's status under a set of quotas.
    pub(crate) fn new(kind: RateLimitFields, quotas: &QuotaSet, status: &LimitStatus) -> Self {
        let quota = &quotas.limits()[status.quota].quota;
        let draft = || (quotas.policy().clone(), limit(status, quota));
        match kind {
            RateLimitFields::Draft => Self::Draft(draft().into()),
            RateLimitFields::DraftAndLegacy => {
                let (policy, limit) = draft();
                let (maximum, _) = quota.window();
                let (remaining, reset) = (status.remaining.into(), seconds(status.reset).into());
                Self::DraftAndLegacy([policy, limit, maximum.into(), remaining, reset])
            }
            RateLimitFields::Silent => Self::Silent,
        }
    }

    /// The fields for a limit of requests in progress.
    pub(crate) fn concurrency(policy: &HeaderValue, name: &str, remaining: u32) -> Self {
        Self::Draft([policy.clone(), render(format_args!("\"{name}\";r={remaining}"))])
    }

    /// Writes the fields. Those of the draft are lists, to which each layer appends.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        for (name, value) in self.pairs() {
            if name == POLICY || name == LIMIT {
                headers.append(name, value);
            } else {
                // The older fields have one value: that of the innermost layer.
                headers.entry(name).or_insert(value);
            }
        }
    }

    /// Adds the fields to a refusal.
    pub(super) fn refuse(self, rejection: Rejection) -> Rejection {
        self.pairs().fold(rejection, |rejection, (name, value)| rejection.response_field(name, value))
    }

    fn pairs(self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let (draft, legacy) = match self {
            Self::Draft(draft) => (Some(draft), None),
            Self::DraftAndLegacy([policy, limit, maximum, remaining, reset]) => {
                (Some([policy, limit]), Some([maximum, remaining, reset]))
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

/// The value of `RateLimit-Policy` for a limit of requests in progress.
pub(crate) fn concurrency_policy(name: &str, maximum: u32) -> HeaderValue {
    value(format!("\"{name}\";q={maximum};qu=\"concurrent-requests\"").as_bytes())
}

fn limit(status: &LimitStatus, quota: &Quota) -> HeaderValue {
    let (name, remaining, seconds) = (quota.name(), status.remaining, seconds(status.reset));
    render(format_args!("\"{name}\";r={remaining};t={seconds}"))
}

/// Whole seconds, rounded up: a client that waits for them has waited long enough.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

/// Formats on the stack, so that only the value is allocated.
fn render(text: std::fmt::Arguments<'_>) -> HeaderValue {
    // A name has at most 64 bytes, and the numbers have 30.
    let mut buffer = [0; 128];
    let mut free = &mut buffer[..];
    free.write_fmt(text).expect("names and numbers fit into the buffer");
    let unused = free.len();
    value(&buffer[..128 - unused])
}

fn value(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).expect("the value is visible ASCII")
}
