use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use tower_warden::UnixTime;

/// Returns how long the server asks to wait ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
///
/// A date is compared with the `Date` of the response, because the clock of this machine may differ, or with `now` if the
/// response has none. The longest of several values applies. A value that is malformed, zero or a time in the past is `None`:
/// it does not state how long to wait.
pub(crate) fn retry_after(headers: &HeaderMap, now: impl Fn() -> UnixTime) -> Option<Duration> {
    let now = || headers.get(header::DATE).and_then(date).unwrap_or_else(&now);
    let waits = headers
        .get_all(header::RETRY_AFTER)
        .iter()
        .filter_map(|value| seconds(value).or_else(|| Some(date(value)?.as_secs().saturating_sub(now().as_secs()))));
    waits.max().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// `delay-seconds`; a number that does not fit is the greatest one.
fn seconds(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

fn date(value: &HeaderValue) -> Option<UnixTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok().map(UnixTime::from)
}
