//! Response fields that report the state of a limit: draft-ietf-httpapi-ratelimit-headers-10.

use std::{num::NonZeroU64, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header::RETRY_AFTER};

use super::{limiter::LimitStatus, quota::Quota, quota_set::QuotaSet};
use crate::refusal::Rejection;

/// The response fields that report the state of a limit.
///
/// Every refusal also has `Retry-After`, independently of this setting. If the quota of an admitted request is used up by it, an
/// earlier `Retry-After` of its response, such as that of an inner limit, is delayed until a unit is available.
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

/// The fields of one response: `RateLimit-Policy` and `RateLimit`, and the older ones. Without a box, the latter would be moved
/// with each request.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    draft: Option<[HeaderValue; 2]>,
    legacy: Option<Box<[HeaderValue; 3]>>,
    /// The seconds until a unit is available, if none is.
    used_up: Option<NonZeroU64>,
}

impl Fields {
    /// The fields for a caller's status under a set of quotas.
    pub(crate) fn new(kind: RateLimitFields, quotas: &QuotaSet, status: &LimitStatus) -> Self {
        if kind == RateLimitFields::Silent {
            return Self::default();
        }
        let quota = &quotas.limits()[status.quota].quota;
        let (remaining, reset) = (status.remaining, seconds(status.reset));
        let draft = [quotas.policy().clone(), item(quota.name(), &[(b";r=", remaining.into()), (b";t=", reset)])];
        let has_legacy = kind == RateLimitFields::DraftAndLegacy;
        let legacy = has_legacy.then(|| Box::new([quota.window().0.into(), remaining.into(), reset.into()]));
        Self { draft: Some(draft), legacy, used_up: NonZeroU64::new(reset).filter(|_| remaining == 0) }
    }

    /// The fields for a limit of requests in progress.
    pub(crate) fn concurrency(policy: &HeaderValue, name: &str, remaining: u32) -> Self {
        Self { draft: Some([policy.clone(), item(name, &[(b";r=", remaining.into())])]), ..Self::default() }
    }

    /// Writes the fields. Those of the draft are lists, to which each layer appends.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        if let Some([policy, limit]) = self.draft {
            headers.append(POLICY, policy);
            headers.append(LIMIT, limit);
        }
        if let Some(seconds) = self.used_up {
            delay(headers, seconds.get());
        }
        // The older fields have one value: that of the innermost layer.
        if let Some(legacy) = self.legacy {
            for (name, value) in LEGACY.into_iter().zip(*legacy) {
                headers.entry(name).or_insert(value);
            }
        }
    }

    /// Adds the fields to a refusal.
    pub(super) fn refuse(self, rejection: Rejection) -> Rejection {
        let draft = [POLICY, LIMIT].into_iter().zip(self.draft.into_iter().flatten());
        let legacy = LEGACY.into_iter().zip(self.legacy.into_iter().flat_map(|values| *values));
        draft.chain(legacy).fold(rejection, |rejection, (name, value)| rejection.response_field(name, value))
    }
}

/// Delays a retry to which the response invites until the quota admits it.
fn delay(headers: &mut HeaderMap, seconds: u64) {
    let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if retry_after.is_some_and(|retry_after| retry_after < seconds) {
        headers.insert(RETRY_AFTER, seconds.into());
    }
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const LEGACY: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// The value of `RateLimit-Policy`.
pub(super) fn policy(quotas: &[Quota]) -> HeaderValue {
    let items = quotas.iter().map(|quota| {
        let (count, seconds) = quota.window();
        let unit = quota.unit_name().map(|unit| format!(";qu=\"{unit}\"")).unwrap_or_default();
        format!("\"{}\";q={count}{unit};w={seconds}", quota.name())
    });
    value(items.collect::<Vec<_>>().join(", ").as_bytes())
}

/// The value of `RateLimit-Policy` for a limit of requests in progress.
pub(crate) fn concurrency_policy(name: &str, maximum: u32) -> HeaderValue {
    value(format!("\"{name}\";q={maximum};qu=\"concurrent-requests\"").as_bytes())
}

/// Whole seconds, rounded up: a client that waits for them has waited long enough.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
}

/// A name with parameters, such as `"default";r=9;t=1`. It is written on the stack, so that only the value is allocated, and
/// without the machinery of `std::fmt`, which would take most of the time.
fn item(name: &str, parameters: &[(&[u8; 3], u64)]) -> HeaderValue {
    // A name has at most 64 bytes, and each parameter 23.
    let (mut text, mut end) = ([0; 128], name.len() + 2);
    (text[0], text[end - 1]) = (b'"', b'"');
    text[1..end - 1].copy_from_slice(name.as_bytes());
    for (parameter, number) in parameters {
        text[end..end + 3].copy_from_slice(*parameter);
        end += 3 + write_decimal(*number, &mut text[end + 3..]);
    }
    value(&text[..end])
}

/// Writes a number to the start of the text, and returns the number of its digits.
fn write_decimal(mut number: u64, text: &mut [u8]) -> usize {
    let digits = number.checked_ilog10().map_or(1, |log| log as usize + 1);
    for digit in text[..digits].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
}

fn value(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).expect("the value is visible ASCII")
}
