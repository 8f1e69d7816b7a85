//! The tokens that are those of an issuer.

use std::fmt;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    json::{Json, Object},
    url,
};

/// Selects the tokens of an issuer, by claims that are not verified yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::jwt) enum IssuerName {
    /// `iss` is this text.
    Exact(Box<str>),
    /// Tokens without `iss`, which are attributed to this name.
    Missing(Box<str>),
    /// `iss` has this form.
    Template(Template),
    /// `sub` is a SPIFFE ID of this trust domain.
    TrustDomain(Box<str>),
}

/// A text with one placeholder, such as `https://login.example.com/{tid}/v2.0`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::jwt) struct Template {
    text: Box<str>,
    /// The position of `{`.
    start: usize,
    /// The position after `}`.
    end: usize,
}

impl IssuerName {
    /// The configured text.
    pub(in crate::jwt) fn as_str(&self) -> &str {
        match self {
            Self::Exact(name) | Self::Missing(name) | Self::TrustDomain(name) => name,
            Self::Template(template) => &template.text,
        }
    }

    /// The name of the issuer of a token; `None` if the token is not one of this issuer.
    pub(in crate::jwt) fn of_token<'a>(&'a self, claims: &'a Object<'_>) -> Option<&'a str> {
        let issuer = claims.get("iss").filter(|issuer| **issuer != Json::Null);
        let text = issuer.and_then(Json::as_str);
        match self {
            Self::Exact(name) => text.filter(|text| **text == **name),
            Self::Missing(name) => issuer.is_none().then_some(&**name),
            Self::Template(template) => text.filter(|text| template.value_in(text).is_some()),
            Self::TrustDomain(domain) => {
                let path = claims.get("sub").and_then(Json::as_str)?.strip_prefix(&**domain)?;
                is_spiffe_path(path).then_some(&**domain)
            }
        }
    }

    /// Returns whether both may select one token by its `iss`, or by the lack of it.
    pub(in crate::jwt) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(name), Self::Template(template)) | (Self::Template(template), Self::Exact(name)) => {
                template.value_in(name).is_some()
            }
            (Self::Template(one), Self::Template(other)) => one.overlaps(other),
            (one, other) => one == other,
        }
    }
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let refused = || {
            let message = "a template has one placeholder, which names a claim: https://auth.example.com/{tid}";
            ConfigError::new(ConfigErrorKind::Issuer, message).value(url::redacted(text))
        };
        let start = text.find('{').ok_or_else(refused)?;
        let end = text.find('}').filter(|end| *end > start + 1).ok_or_else(refused)? + 1;
        if text[start + 1..].contains('{') || text[end..].contains('}') {
            return Err(refused());
        }
        Ok(Self { text: text.into(), start, end })
    }

    pub(super) fn placeholder(&self) -> &str {
        &self.text[self.start + 1..self.end - 1]
    }

    /// The text with a value in the place of the placeholder.
    pub(in crate::jwt) fn filled(&self, value: &str) -> String {
        format!("{}{value}{}", &self.text[..self.start], &self.text[self.end..])
    }

    /// The value of the placeholder in a text of this form. It is a part of a host name or of a path, and never contains a
    /// slash.
    pub(in crate::jwt) fn value_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        let value = text.strip_prefix(&self.text[..self.start])?.strip_suffix(&self.text[self.end..])?;
        let is_value = value.bytes().all(is_allowed) && value.starts_with(|first: char| first.is_ascii_alphanumeric());
        (is_value && value.len() <= MAX_VALUE).then_some(value)
    }

    /// Returns whether a text may have both forms.
    fn overlaps(&self, other: &Self) -> bool {
        let (short, long) = if self.start <= other.start { (self, other) } else { (other, self) };
        let Some(rest) = long.text[..long.start].strip_prefix(&short.text[..short.start]) else { return false };
        // The value of one ends before that of the other begins, so it is a part of the other one's text.
        let ends_before = (1..=rest.len()).filter_map(|end| rest.get(..end)).any(|value| {
            let text = short.filled(value);
            short.value_in(&text).is_some() && long.value_in(&text).is_some()
        });
        // Both values have a part in common: what only one text has around it can belong to the other one's value.
        let reversed = |template: &Self| template.text[template.end..].chars().rev().collect::<String>();
        let (one, other) = (reversed(short), reversed(long));
        let after = one.strip_prefix(&*other).or_else(|| other.strip_prefix(&*one));
        let has_common_part = after.is_some_and(|after| rest.bytes().chain(after.bytes()).all(is_allowed));
        ends_before || has_common_part
    }
}

/// SPIFFE ID §2.2: the path has segments of letters, digits, '.', '-' and '_', none of which is empty, "." or "..".
fn is_spiffe_path(path: &str) -> bool {
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_allowed);
    path.strip_prefix('/').is_some_and(|segments| segments.split('/').all(is_segment))
}

/// A byte of a placeholder's value, and of a segment of a SPIFFE ID.
const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The longest value of a placeholder, in bytes.
const MAX_VALUE: usize = 128;

/// Returns whether two names differ only as misspelled ones do: in a slash at the end, the scheme, or upper-case letters.
pub(in crate::jwt) fn is_similar(one: &str, other: &str) -> bool {
    let essence = |name: &str| {
        let name = name.split_once("://").map_or(name, |(_, rest)| rest);
        name.trim_end_matches('/').to_ascii_lowercase()
    };
    one.len().abs_diff(other.len()) <= 16 && essence(one) == essence(other)
}
