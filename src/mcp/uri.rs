//! URIs of resources.

use percent_encoding::percent_decode_str;

/// The form that is the same for URIs that stand for the same resource: the scheme and the host in lower case, without the
/// default port, and percent-decoded (RFC 3986 §6.2). Other URIs may have it too.
pub(super) fn canonical(uri: &str) -> Vec<u8> {
    percent_decode_str(&canonical_origin(uri)).collect()
}

/// A URI or template with the scheme and the host in lower case, without the default port.
pub(super) fn canonical_origin(text: &str) -> String {
    let Some(colon) = text.find([':', '/', '?', '#']).filter(|place| text[*place..].starts_with(':')) else {
        return text.to_owned();
    };
    let host = colon + "://".len();
    let end = if text[colon..].starts_with("://") {
        text[host..].find(['/', '?', '#']).map_or(text.len(), |length| host + length)
    } else {
        colon
    };
    let origin = text[..end].to_ascii_lowercase();
    let port = match &origin[..colon] {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    [origin.strip_suffix(port).unwrap_or(&origin), &text[end..]].concat()
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
    use super::*;

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
    fn uris_of_the_same_resource_have_one_canonical_form() {
        for (one, other) in [
            ("file:///geheim%C3%A4", "file:///geheim\u{e4}"),
            ("file:///geheim%C3%A4", "FILE:///geheim%c3%a4"),
            ("file:///report(1)", "file:///report%281%29"),
            ("https://HOST/A", "https://host:443/A"),
            ("HTTP://host", "http://host:80"),
            ("URN:a", "urn:a"),
        ] {
            assert_eq!(canonical(one), canonical(other), "{one} {other}");
        }
        for (one, other) in [
            ("file:///A", "file:///a"),
            ("urn:A", "urn:a"),
            ("https://host:80/", "https://host/"),
            ("A/b:c", "a/b:c"),
            ("db:/A?x://y", "db:/a?x://y"),
        ] {
            assert_ne!(canonical(one), canonical(other), "{one} {other}");
        }
    }
}
