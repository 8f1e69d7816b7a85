//! URIs of resources, and templates of them.

use percent_encoding::percent_decode_str;

/// The longest URI that is compared with templates, in bytes.
const MAX_URI: usize = 8_192;

/// A template of URIs, [RFC 6570](https://www.rfc-editor.org/rfc/rfc6570) levels 1 and 2: `{name}` stands for one or more
/// characters of a path segment, `{+name}` also for several segments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct UriTemplate {
    text: Box<str>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Literal(Box<str>),
    Path,
    Segment,
}

impl UriTemplate {
    /// Parses a template; `None` if it has an expression of another kind, or a brace that is not closed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, expression)) = rest.split_once('{') {
            let (expression, after) = expression.split_once('}')?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
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
        if rest.contains('}') || parts.iter().any(|part| matches!(part, Part::Literal(text) if text.contains('}'))) {
            return None;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Some(Self { text: text.into(), parts })
    }

    /// Returns whether it has expressions; otherwise it is a URI.
    pub(super) fn has_expressions(&self) -> bool {
        self.parts.iter().any(|part| !matches!(part, Part::Literal(_)))
    }

    /// Returns whether a URI is one of the template, or is the template itself.
    pub(super) fn matches(&self, uri: &str) -> bool {
        if uri == &*self.text {
            return true;
        }
        if uri.len() > MAX_URI {
            return false;
        }
        let bytes = uri.as_bytes();
        // The places that the parts so far can end at. Each part is applied to all of them, so the time is limited by the
        // length of the URI times that of the template.
        let mut places = vec![false; bytes.len() + 1];
        places[0] = true;
        for part in &self.parts {
            let mut next = vec![false; bytes.len() + 1];
            match part {
                Part::Literal(text) => {
                    for (place, _) in places.iter().enumerate().filter(|(_, is_reached)| **is_reached) {
                        if bytes[place..].starts_with(text.as_bytes()) {
                            next[place + text.len()] = true;
                        }
                    }
                }
                Part::Path | Part::Segment => {
                    let mut is_open = false;
                    for (place, byte) in bytes.iter().enumerate() {
                        is_open = (is_open || places[place]) && may_contain(part, *byte);
                        next[place + 1] = is_open;
                    }
                }
            }
            places = next;
        }
        places[bytes.len()]
    }
}

const fn may_contain(part: &Part, byte: u8) -> bool {
    match byte {
        b'{' | b'}' | b'#' | b'\\' => false,
        b'/' | b'?' => matches!(part, Part::Path),
        _ => byte > b' ' && byte != 0x7f,
    }
}

/// Returns whether servers may read a URI as another one: it has dot segments, backslashes or empty segments of the path,
/// however often they are encoded, an encoded slash, or an encoded character that needs no encoding.
pub(super) fn is_ambiguous(uri: &str) -> bool {
    let mut text = after_scheme(uri).to_owned();
    let mut is_decoded = false;
    // Each round decodes what the one before has decoded; the last one decodes nothing.
    loop {
        let is_dot = |segment: &str| matches!(segment, "." | "..");
        let path = text.strip_prefix("//").unwrap_or(&text).split(['?', '#']).next().unwrap_or_default();
        if text.contains(['\\', '\0']) || text.split(['/', '?', '#']).any(is_dot) || path.contains("//") {
            return true;
        }
        if has_needless_escape(&text) {
            return true;
        }
        let Ok(decoded) = percent_decode_str(&text).decode_utf8() else { return true };
        if decoded == text {
            return false;
        }
        let slashes = |text: &str| text.matches('/').count();
        if is_decoded || slashes(&decoded) != slashes(&text) {
            return true;
        }
        is_decoded = true;
        text = decoded.into_owned();
    }
}

/// The URI without its query and fragment, which some servers ignore.
pub(super) fn without_query(uri: &str) -> &str {
    uri.split(['?', '#']).next().unwrap_or_default()
}

/// The text after the scheme, RFC 3986 §3.1.
fn after_scheme(uri: &str) -> &str {
    match uri.split_once(':') {
        Some((scheme, rest))
            if scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')) =>
        {
            rest
        }
        _ => uri,
    }
}

/// Returns whether an unreserved character is encoded (RFC 3986 §2.3), or something that is not encoded in full.
fn has_needless_escape(text: &str) -> bool {
    text.match_indices('%').any(|(place, _)| {
        let digits = text.get(place + 1..place + 3).unwrap_or_default();
        match u8::from_str_radix(digits, 16) {
            Ok(byte) => digits.len() != 2 || byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'),
            // A percent sign of its own, after it was decoded.
            Err(_) => false,
        }
    })
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
            ("file:///{name}", "file:///{name}", true),
            ("file:///{name}", "file:///{other}", false),
            ("file:///{name}", "file:///a b", false),
        ] {
            assert_eq!(UriTemplate::parse(template).unwrap().matches(uri), expected, "{template} {uri}");
        }
    }

    #[test]
    fn other_expressions_are_refused() {
        for text in ["a{", "a}", "{", "{}", "{+}", "{/a}", "{?a}", "{#a}", "{a,b}", "{a*}", "{a:3}", "{a}}", "{{a}"] {
            assert_eq!(UriTemplate::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_uri_that_servers_read_differently_is_ambiguous() {
        for uri in [
            "file:///public/../secret",
            "file:///public/%2e%2e/secret",
            "file:///public/%2E./secret",
            "file:///public/%252e%252e/secret",
            "file:///public%2f..%2fsecret",
            "file:///public/.%00./x",
            "file:///a\\..\\b",
            "file:///a%5c..%5cb",
            "file:///./a",
            "file:///a/..",
            "file:///a%2fb",
            "file:///%ff",
            "a/%252f",
            "file:///%73ecret",
            "file:////secret",
            "file:///a//b",
            "db://%68r/x",
            "docs:/public/../secret?x://y",
            "file:///public/x?/../../secret",
            "file:///public/x#/../secret",
        ] {
            assert!(is_ambiguous(uri), "{uri}");
        }
        for uri in [
            "file:///public/a..b",
            "file:///a%20b",
            "file:///...",
            "db://a.b/c?d=../e",
            "file:///a%c3%a9",
            "mail:x",
            "test://static-text",
            "file:///100%25",
            "https://example.com/a?b=https%3A%2F%2Fc",
        ] {
            assert_eq!(is_ambiguous(uri), uri.contains("%2F"), "{uri}");
        }
    }

    #[test]
    fn a_uri_that_is_too_long_matches_no_template() {
        let template = UriTemplate::parse("{+path}").unwrap();
        assert!(template.matches(&"x".repeat(MAX_URI)));
        assert!(!template.matches(&"x".repeat(MAX_URI + 1)));
    }
}
