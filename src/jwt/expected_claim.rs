use std::fmt;

use super::fault::OneOf;
use crate::json::Json;

/// The values of a claim that [`Issuer::require_claim`](super::Issuer::require_claim) accepts.
///
/// A string, number or boolean is compared by type and value: `true` is not `"true"`.
///
/// # Examples
///
/// ```
/// use tower_warden::jwt::{ExpectedClaim, Issuer};
///
/// let issuer = Issuer::new("https://auth.example.com", "https://api.example.com")?
///     .require_claim("token_use", "access")
///     .require_claim("email_verified", true)
///     .require_claim("/org/region", ExpectedClaim::one_of(["eu", "us"]))
///     .require_claim("amr", ExpectedClaim::containing("mfa"))
///     .require_claim("scp", ExpectedClaim::present());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExpectedClaim(Expected);

#[derive(Clone, Debug, PartialEq)]
enum Expected {
    Bool(bool),
    Containing(Box<str>),
    Integer(i64),
    OneOf(Vec<Box<str>>),
    Present,
}

impl ExpectedClaim {
    /// A list that contains this string.
    #[must_use]
    pub fn containing(item: impl Into<Box<str>>) -> Self {
        Self(Expected::Containing(item.into()))
    }

    /// One of these strings. A list of strings is not accepted: see [`containing`](Self::containing).
    #[must_use]
    pub fn one_of(values: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        Self(Expected::OneOf(values.into_iter().map(Into::into).collect()))
    }

    /// Any value, except `null` and an empty string.
    #[must_use]
    pub const fn present() -> Self {
        Self(Expected::Present)
    }

    pub(super) fn is_met(&self, value: Option<&Json<'_>>) -> bool {
        match (&self.0, value) {
            (_, None | Some(Json::Null)) => false,
            (Expected::Bool(expected), Some(Json::Bool(value))) => expected == value,
            (Expected::Containing(item), Some(Json::Array(items))) => {
                items.iter().any(|value| value.as_str() == Some(item))
            }
            (Expected::Integer(expected), Some(Json::Number(value))) => value.as_i64() == Some(*expected),
            (Expected::OneOf(expected), Some(Json::String(value))) => expected.iter().any(|text| **text == **value),
            (Expected::Present, Some(value)) => value.as_str() != Some(""),
            _ => false,
        }
    }

    /// Returns whether each claim that meets `other` meets this.
    pub(super) fn includes(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Expected::OneOf(own), Expected::OneOf(others)) => others.iter().all(|text| own.contains(text)),
            (own, other) => own == other,
        }
    }
}

impl From<&str> for ExpectedClaim {
    fn from(text: &str) -> Self {
        Self::one_of([text])
    }
}

impl From<String> for ExpectedClaim {
    fn from(text: String) -> Self {
        Self::one_of([text])
    }
}

impl From<Box<str>> for ExpectedClaim {
    fn from(text: Box<str>) -> Self {
        Self::one_of([text])
    }
}

impl From<bool> for ExpectedClaim {
    fn from(value: bool) -> Self {
        Self(Expected::Bool(value))
    }
}

impl From<i64> for ExpectedClaim {
    fn from(number: i64) -> Self {
        Self(Expected::Integer(number))
    }
}

impl From<i32> for ExpectedClaim {
    fn from(number: i32) -> Self {
        Self::from(i64::from(number))
    }
}

/// The text for the log.
impl fmt::Display for ExpectedClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Expected::Bool(value) => value.fmt(f),
            Expected::Containing(item) => write!(f, "a list with {}", OneOf(&[item])),
            Expected::Integer(number) => number.fmt(f),
            Expected::OneOf(texts) => OneOf(texts).fmt(f),
            Expected::Present => f.write_str("a value"),
        }
    }
}
