use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use tower_warden::UnixTime;

/// Reads `exp` of a JWT **without verifying anything**; `None` if the text is not a JWT with that claim.
///
/// For the holder of a token only, to decide when to request the next one: a wrong value costs one request too many or
/// one response with 401. It decides nothing else, because anyone can write any value into it. [OAuth tokens are opaque
/// to clients](https://www.rfc-editor.org/rfc/rfc9068#section-6), so [`CachedToken`](crate::CachedToken) reads it only
/// where the server states no `expires_in`.
///
/// # Examples
///
/// ```
/// use tower_warden::UnixTime;
/// use tower_warden_client::unverified_expiry;
///
/// // {"alg":"none"} and {"exp":1800000000}
/// let token = "eyJhbGciOiJub25lIn0.eyJleHAiOjE4MDAwMDAwMDB9.";
/// assert_eq!(unverified_expiry(token), Some(UnixTime::from_secs(1_800_000_000)));
/// assert_eq!(unverified_expiry("an-opaque-token"), None);
/// ```
#[must_use]
pub fn unverified_expiry(token: &str) -> Option<UnixTime> {
    let mut segments = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (segments.next(), segments.next(), segments.next(), segments.next())
    else {
        return None;
    };
    if payload.len() > MAX_PAYLOAD {
        return None;
    }
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    seconds(claims.get("exp")?).map(UnixTime::from_secs)
}

/// A number of seconds, rounded down. Some servers write it as a text.
pub(crate) fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn whole(number: f64) -> Option<u64> {
    (number.is_finite() && (0.0..1e15).contains(&number)).then_some(number as u64)
}

/// The longest payload that is decoded, in characters.
const MAX_PAYLOAD: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.sig", BASE64_URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn expiry_is_read_from_a_jwt_only() {
        assert_eq!(unverified_expiry(&token(r#"{"exp":17.9}"#)), Some(UnixTime::from_secs(17)));
        for payload in ["{}", "[]", r#"{"exp":-1}"#, r#"{"exp":null}"#, r#"{"exp":1e300}"#, "{"] {
            assert_eq!(unverified_expiry(&token(payload)), None, "{payload}");
        }
        for text in ["", ".", "..", "a.b", "a.b.c.d", "a.!.c"] {
            assert_eq!(unverified_expiry(text), None, "{text}");
        }
    }
}
