use std::{borrow::Cow, ops::Deref};

use http::Uri;

use crate::error::{ConfigError, ConfigErrorKind};

/// The bytes that a signature covers, as a pattern: what precedes the body, which is last.
#[derive(Clone, Debug)]
pub(super) struct Template(Box<[Part]>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Literal(Box<str>),
    Value(Placeholder),
}

/// A value of the request in a template.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Placeholder {
    Id,
    Method,
    Target,
    Timestamp,
}

/// The part that shows where the value before the body ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Separation {
    /// The body, whose first byte is no digit.
    Body,
    Template,
}

impl Separation {
    /// Returns whether this body can follow.
    pub(super) fn permits(self, body: &[u8]) -> bool {
        match self {
            Self::Body => body.first().is_some_and(|first| !first.is_ascii_digit()),
            Self::Template => true,
        }
    }
}

/// The values of one request.
#[derive(Clone, Copy, Default)]
pub(super) struct Values<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) timestamp: Option<&'a str>,
}

/// The path and the query of a request, as a server receives it: the path of `https://example.com?a=1` is `/`.
pub(super) fn target(uri: &Uri) -> Cow<'_, str> {
    match uri.path_and_query() {
        None => Cow::Borrowed(""),
        Some(target) if target.as_str().starts_with('?') => Cow::Owned(target.to_string()),
        Some(target) => Cow::Borrowed(target.as_str()),
    }
}

impl Template {
    /// Parses a pattern such as `{timestamp}.{body}`.
    ///
    /// Each value is followed by a text that it cannot contain. Otherwise, two requests with different values would have the
    /// same signature, and one could be sent in the place of the other.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let refused = |message| ConfigError::new(ConfigErrorKind::PayloadSignature, message).value(text);
        let mut rest = text.strip_suffix("{body}").ok_or_else(|| refused("a template ends with `{body}`"))?;
        let mut parts = Vec::new();
        while let Some(start) = rest.find(['{', '}']) {
            let (literal, placeholder) = rest.split_at(start);
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            let (placeholder, after) = Placeholder::split(placeholder)
                .ok_or_else(|| refused("a template has `{id}`, `{method}`, `{target}`, `{timestamp}` and `{body}`"))?;
            if parts.contains(&Part::Value(placeholder)) {
                return Err(refused("a template has each value once"));
            }
            if !after.chars().next().is_some_and(|next| placeholder.ends_before(next)) {
                return Err(refused(
                    "a value of a template is followed by a text that it cannot contain: `{timestamp}` by no digit, \
                     `{method}` by no letter, digit or '.', and `{target}` by a space or a line break",
                ));
            }
            parts.push(Part::Value(placeholder));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Ok(Self(parts.into()))
    }

    /// The timestamp, and the body next to it: unambiguous if that does not begin with a digit.
    pub(super) fn timestamp_and_body() -> Self {
        Self(Box::new([Part::Value(Placeholder::Timestamp)]))
    }

    pub(super) fn separation(&self) -> Separation {
        match *self.0 {
            [.., Part::Value(_)] => Separation::Body,
            [] | [.., Part::Literal(_)] => Separation::Template,
        }
    }

    pub(super) fn covers(&self, placeholder: Placeholder) -> bool {
        self.0.contains(&Part::Value(placeholder))
    }

    /// The covered bytes before the body; `None` if a value is missing, or contains the text that follows it.
    pub(super) fn render(&self, values: &Values<'_>) -> Option<Covered> {
        let mut rendered = Covered::default();
        for (index, part) in self.0.iter().enumerate() {
            match part {
                Part::Literal(text) => rendered.push(text.as_bytes()),
                Part::Value(placeholder) => {
                    let value = placeholder.of(values)?;
                    let is_ambiguous = match self.0.get(index + 1) {
                        Some(Part::Literal(next)) => value.contains(next.chars().next()?),
                        Some(Part::Value(_)) => true,
                        // The body follows, which is compared when it is known.
                        None => *placeholder != Placeholder::Timestamp,
                    };
                    if is_ambiguous {
                        return None;
                    }
                    rendered.push(value.as_bytes());
                }
            }
        }
        Some(rendered)
    }
}

/// The covered bytes before the body. Mostly they are few, and need no allocation.
pub(super) struct Covered {
    short: [u8; Self::SHORT],
    length: usize,
    /// All of them, if they are more.
    long: Vec<u8>,
}

impl Covered {
    const SHORT: usize = 96;

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if end <= Self::SHORT {
            self.short[self.length..end].copy_from_slice(bytes);
        } else {
            if self.long.is_empty() {
                self.long.extend_from_slice(&self.short[..self.length]);
            }
            self.long.extend_from_slice(bytes);
        }
        self.length = end;
    }
}

impl Default for Covered {
    fn default() -> Self {
        Self { short: [0; Self::SHORT], length: 0, long: Vec::new() }
    }
}

impl Deref for Covered {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.length <= Self::SHORT { &self.short[..self.length] } else { &self.long }
    }
}

impl Placeholder {
    const ALL: [(&str, Self); 4] =
        [("{id}", Self::Id), ("{method}", Self::Method), ("{target}", Self::Target), ("{timestamp}", Self::Timestamp)];

    fn split(text: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|(name, placeholder)| Some((placeholder, text.strip_prefix(name)?)))
    }

    /// Returns whether no value contains this character. The ids of requests are compared when they are read.
    fn ends_before(self, next: char) -> bool {
        match self {
            Self::Id => !matches!(next, '{' | '}'),
            // RFC 9110 §5.6.2: a method is a token.
            Self::Method => !next.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~{}".contains(next),
            Self::Target => matches!(next, ' ' | '\n'),
            Self::Timestamp => !next.is_ascii_digit() && !matches!(next, '{' | '}'),
        }
    }

    const fn of<'a>(self, values: &Values<'a>) -> Option<&'a str> {
        match self {
            Self::Id => values.id,
            Self::Method => Some(values.method),
            Self::Target => Some(values.target),
            Self::Timestamp => values.timestamp,
        }
    }
}
