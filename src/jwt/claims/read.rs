//! Reads claims by name and type.

use std::borrow::Cow;

use crate::{
    json::{Json, Object},
    jwt::{fault::Fault, issuer::Ids},
    time::UnixTime,
};

/// The claims of an authentic token: its signature was verified, or its issuer was queried.
pub(crate) struct Claims<'a> {
    pub(super) members: &'a Object<'a>,
    nulls: Nulls,
}

/// The meaning of a claim that is `null`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Nulls {
    /// The same as none.
    Absent,
    /// A value of the wrong type.
    Values,
}

impl<'a> Claims<'a> {
    pub(crate) const fn new(members: &'a Object<'a>) -> Self {
        Self { members, nulls: Nulls::Absent }
    }

    /// The claims of a text that clients write, in which `null` is an error.
    #[cfg(feature = "dpop")]
    pub(crate) const fn of_proof(members: &'a Object<'a>) -> Self {
        Self { members, nulls: Nulls::Values }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Json<'a>> {
        self.members.get(name).filter(|value| self.nulls == Nulls::Values || **value != Json::Null)
    }

    /// The claim at a configured place: a name, or a JSON pointer (RFC 6901) if it begins with a slash. A value on the way that
    /// cannot contain the claim is an error, never treated as its absence.
    pub(crate) fn at(&self, place: &str) -> Result<Option<&'a Json<'a>>, Fault> {
        let Some(pointer) = place.strip_prefix('/') else { return Ok(self.get(place)) };
        let mut segments = pointer.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~"));
        let mut found = segments.next().and_then(|name| self.get(&name));
        for segment in segments {
            let Some(parent) = found.filter(|value| **value != Json::Null) else { return Ok(None) };
            found = match (parent, index(&segment)) {
                (Json::Object(members), _) => members.get(&segment),
                (Json::Array(items), Some(index)) => items.get(index),
                _ => return Err(Fault::claim_type(place, "an object or a list that contains it", parent)),
            };
        }
        Ok(found.filter(|value| **value != Json::Null))
    }

    /// A claim that is a string. A claim of another type is an error, never treated as absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| Fault::claim_type(name, "a string", value)),
        }
    }

    /// A name or id at a configured place: a string that is not empty, or by option a number. An empty one is none.
    pub(super) fn id(&self, place: &str, ids: Ids) -> Result<Option<Cow<'a, str>>, Fault> {
        let Some(value) = self.at(place)? else { return Ok(None) };
        match (value, ids) {
            (Json::String(text), _) => Ok(Some(Cow::Borrowed(&**text)).filter(|text| !text.is_empty())),
            (Json::Number(number), Ids::TextsAndNumbers) if number.is_i64() || number.is_u64() => {
                Ok(Some(Cow::Owned(number.to_string())))
            }
            (Json::Number(_), Ids::Texts) => {
                Err(Fault::claim_type(place, "a string (numbers by `Issuer::accept_numeric_ids`)", value))
            }
            _ => Err(Fault::claim_type(place, "a string", value)),
        }
    }

    /// A claim at a configured place that is a string and not empty.
    pub(super) fn configured(&self, place: &str, ids: Ids) -> Result<Option<Cow<'a, str>>, Fault> {
        match self.at(place)? {
            Some(value @ Json::String(text)) if text.is_empty() => {
                Err(Fault::claim_type(place, "a string that is not empty", value))
            }
            _ => self.id(place, ids),
        }
    }

    /// Roles at a configured place: a string, a list of strings, or an object of objects, whose member names are the roles.
    pub(super) fn roles(&self, place: &str) -> Result<Vec<&'a str>, Fault> {
        let Some(value) = self.at(place)? else { return Ok(Vec::new()) };
        let refused = || Fault::claim_type(place, "a string, a list of strings, or an object of objects", value);
        match value {
            Json::String(role) => Ok(vec![role]),
            Json::Array(items) => items.iter().map(|item| item.as_str().ok_or_else(refused)).collect(),
            // Not `{"admin": false}`, which might mean the opposite.
            Json::Object(roles) => {
                roles.iter().map(|(role, details)| details.as_object().map(|_| role).ok_or_else(refused)).collect()
            }
            _ => Err(refused()),
        }
    }

    /// RFC 7519 §2: seconds since the epoch; a fraction is rounded up.
    pub(crate) fn time(&self, name: &str) -> Result<Option<UnixTime>, Fault> {
        let Some(value) = self.get(name) else { return Ok(None) };
        time(value).map(Some).ok_or_else(|| Fault::claim_type(name, "a number of seconds since 1970", value))
    }
}

/// The index of an item in a list (RFC 6901 §4): decimal digits without a zero before others.
fn index(segment: &str) -> Option<usize> {
    let is_canonical = segment == "0" || segment.starts_with(|first| matches!(first, '1'..='9'));
    segment.parse().ok().filter(|_| is_canonical)
}

fn time(value: &Json<'_>) -> Option<UnixTime> {
    let Json::Number(number) = value else { return None };
    if let Some(seconds) = number.as_u64() {
        return Some(UnixTime::from_secs(seconds));
    }
    // Larger numbers are not plausible times, and would not fit.
    let seconds = number.as_f64().map(f64::ceil).filter(|seconds| (0.0..=1e15).contains(seconds))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    let seconds = seconds as u64;
    Some(UnixTime::from_secs(seconds))
}

/// A claim that informs the application, and decides about nothing by being absent: one of another type is none, and noted.
pub(super) fn informative<T>(claim: Result<Option<T>, Fault>) -> Option<T> {
    claim.unwrap_or_else(|fault| {
        fault.note();
        None
    })
}
