//! Templates of URIs.

use percent_encoding::percent_decode_str;

use super::uri::canonical_origin;

/// A template of URIs, [RFC 6570](https://www.rfc-editor.org/rfc/rfc6570) levels 1 and 2: `{name}` stands for one or more
/// characters of a path segment, `{+name}` also for several segments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct UriTemplate(Box<[Part]>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Literal(Box<[u8]>),
    Path,
    Segment,
}

/// The form of the URIs that a template is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spelling {
    /// The [canonical](super::uri::canonical) one.
    Canonical,
    /// That in which they are sent.
    Sent,
}

impl UriTemplate {
    /// Parses a template; `None` if it has an expression of another kind, or a brace that is not closed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::parse_with(text, |literal| literal.as_bytes().into())
    }

    /// Parses a template for URIs in the canonical form.
    pub(super) fn parse_canonical(text: &str) -> Option<Self> {
        Self::parse_with(&canonical_origin(text), |literal| percent_decode_str(literal).collect())
    }

    fn parse_with(text: &str, literal_of: impl Fn(&str) -> Box<[u8]>) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, expression)) = rest.split_once('{') {
            let (expression, after) = expression.split_once('}')?;
            if literal.contains('}') {
                return None;
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal_of(literal)));
            }
            let (part, name) = match expression.strip_prefix('+') {
                Some(name) => (Part::Path, name),
                None => (Part::Segment, expression),
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
            {
                return None;
            }
            parts.push(part);
            rest = after;
        }
        if rest.contains('}') {
            return None;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(literal_of(rest)));
        }
        Some(Self(parts.into()))
    }

    /// Returns whether it has expressions; otherwise it is a URI.
    pub(super) fn has_expressions(&self) -> bool {
        self.0.iter().any(|part| !matches!(part, Part::Literal(_)))
    }

    /// Returns whether a URI is one of the template.
    pub(super) fn matches(&self, uri: &[u8], spelling: Spelling) -> bool {
        let (mut parts, mut rest) = (&*self.0, uri);
        // Most URIs are not of the template, which the texts at its ends show.
        if let [Part::Literal(text), inner @ ..] = parts {
            let Some(after) = rest.strip_prefix(&**text) else { return false };
            (parts, rest) = (inner, after);
        }
        if let [inner @ .., Part::Literal(text)] = parts {
            let Some(before) = rest.strip_suffix(&**text) else { return false };
            (parts, rest) = (inner, before);
        }
        match parts {
            [] => rest.is_empty(),
            [part] => !rest.is_empty() && rest.iter().all(|byte| may_contain(part, *byte, spelling)),
            parts => match_parts(parts, rest, spelling),
        }
    }
}

/// Returns whether the parts stand for the bytes.
fn match_parts(parts: &[Part], bytes: &[u8], spelling: Spelling) -> bool {
    // The places that the parts so far can end at. Each part is applied to all of them, so the time is limited by the
    // length of the URI times that of the template.
    let mut places = vec![false; bytes.len() + 1];
    places[0] = true;
    for part in parts {
        let mut next = vec![false; bytes.len() + 1];
        match part {
            Part::Literal(text) => {
                for (place, _) in places.iter().enumerate().filter(|(_, is_reached)| **is_reached) {
                    if bytes[place..].starts_with(text) {
                        next[place + text.len()] = true;
                    }
                }
            }
            Part::Path | Part::Segment => {
                let mut is_open = false;
                for (place, byte) in bytes.iter().enumerate() {
                    is_open = (is_open || places[place]) && may_contain(part, *byte, spelling);
                    next[place + 1] = is_open;
                }
            }
        }
        places = next;
    }
    places[bytes.len()]
}

const fn may_contain(part: &Part, byte: u8, spelling: Spelling) -> bool {
    match (spelling, byte) {
        // Whatever was encoded.
        (Spelling::Canonical, byte) => byte != b'/' || matches!(part, Part::Path),
        (Spelling::Sent, b'{' | b'}' | b'#' | b'\\') => false,
        (Spelling::Sent, b'/' | b'?') => matches!(part, Part::Path),
        (Spelling::Sent, _) => byte > b' ' && byte != 0x7f,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn templates_match_whole_uris() {
        for (template, uri, expected) in [
            ("file:///a", "file:///a", true),
            ("file:///a", "file:///ab", false),
            ("file:///{name}", "file:///a.txt", true),
            ("file:///{name}", "file:///", false),
            ("file:///{name}", "file:///a/b", false),
            ("file:///{name}", "file:///a?b", false),
            ("file:///{+path}", "file:///a/b", true),
            ("db://{schema}.{table}/rows", "db://a.b.c/rows", true),
            ("db://{schema}.{table}/rows", "db://ab/rows", false),
            ("db://{schema}/{table}", "db://a/b", true),
            ("{a}{b}", "x", false),
            ("{a}{b}", "xy", true),
            ("file:///{name}", "file:///{other}", false),
            ("file:///{name}", "file:///a b", false),
            ("x{a}x", "x", false),
            ("x{a}x", "xx", false),
            ("x{a}x", "xax", true),
            ("x{a}-{b}x", "xa-bx", true),
            ("x{a}-{b}x", "xa-x", false),
        ] {
            let matches = UriTemplate::parse(template).unwrap().matches(uri.as_bytes(), Spelling::Sent);
            assert_eq!(matches, expected, "{template} {uri}");
        }
    }

    #[test]
    fn other_expressions_are_refused() {
        for text in ["a{", "a}", "{", "{}", "{+}", "{/a}", "{?a}", "{#a}", "{a,b}", "{a*}", "{a:3}", "{a}}", "{{a}"] {
            assert_eq!(UriTemplate::parse(text), None, "{text}");
        }
    }
}
