//! Checks of URLs that are published, or that requests are sent to.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

/// Returns whether a text is an `https` URL, or an `http` URL of a loopback host; without user information, and with an
/// address only in its usual form.
pub(crate) fn is_secure(url: &str) -> bool {
    parse(url).is_some_and(|uri| is_protected(&uri) && has_usual_host(&uri))
}

/// Returns whether a text is an `https` or `http` URL, as [`is_secure`] requires it otherwise.
#[cfg(any(feature = "metadata", feature = "signature"))]
pub(crate) fn is_http(url: &str) -> bool {
    parse(url).is_some_and(|uri| has_usual_host(&uri))
}

/// Returns whether requests to a URL cannot be read on the way: by `https`, or to a loopback host.
pub(crate) fn is_protected(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https") || is_loopback(uri)
}

/// Parses an `https` or `http` URL without user information.
pub(crate) fn parse(url: &str) -> Option<Uri> {
    // `Uri` accepts more characters than RFC 3986 §2.
    let uri: Uri = url.bytes().all(is_allowed).then(|| url.parse().ok()).flatten()?;
    (matches!(uri.scheme_str(), Some("https" | "http")) && is_plain(&uri)).then_some(uri)
}

/// Returns whether a text begins as an `http` URL and is not that of a loopback host.
#[cfg(feature = "jwt")]
pub(crate) fn is_insecure(text: &str) -> bool {
    text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("http:")) && !is_secure(text)
}

/// Returns whether the host of a URL is this machine, by its name.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    uri.host().is_some_and(is_loopback_host)
}

/// Returns whether a host is this machine, by its name.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}

/// A refused URL as an error may quote it: without the parts that may be secret, which are user information, query and
/// fragment.
pub(crate) fn redacted(url: &str) -> String {
    let scheme = url.find("://").map_or(0, |scheme| scheme + "://".len());
    // In a text that may not be a URL, anything before an `@` may be a password, and anything after it the rest of one.
    if url.contains('@') {
        let is_scheme = url[..scheme].trim_end_matches("://").bytes().all(|byte| byte.is_ascii_alphanumeric());
        return format!("{}…", if is_scheme { &url[..scheme] } else { "" });
    }
    match url.find(['?', '#']) {
        Some(end) => format!("{}…", &url[..=end]),
        None => url.to_owned(),
    }
}

/// RFC 3986 §3.2.2: an IPv4 address is four decimal numbers. Clients connect to `127.1`, `0x7f.1`, `2130706433`, `0177.0.0.1`
/// and `127.0.0.1.` as well, so a host that ends in a number is no name: it is that address in a form that is not checked.
fn has_usual_host(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    !is_number || host.parse::<Ipv4Addr>().is_ok()
}

/// Returns whether the authority is a host, or a host and a port.
fn is_plain(uri: &Uri) -> bool {
    let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
        return false;
    };
    let is_whole = match uri.port_u16() {
        None => authority.as_str() == host,
        Some(port) => *authority.as_str() == format!("{host}:{port}"),
    };
    is_whole && !host.is_empty()
}

/// RFC 3986 §2: the characters of a URL.
const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'?' | b'#' | b'[' | b']' | b'@' | b'!' | b'$')
        || matches!(byte, b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b'%')
}

#[cfg(all(test, feature = "metadata"))]
mod tests {
    use super::*;

    #[test]
    fn errors_quote_no_part_of_a_url_that_may_be_secret() {
        for (url, quoted) in [
            ("http://auth.example/keys", "http://auth.example/keys"),
            ("http://auth.example/keys?key=secret", "http://auth.example/keys?…"),
            ("http://auth.example/keys#secret", "http://auth.example/keys#…"),
            ("https://user:secret@auth.example", "https://…"),
            ("https://user:sec?r/et@auth.example", "https://…"),
            ("user:secret@auth.example", "…"),
            ("secret!://user@auth.example", "…"),
            ("", ""),
        ] {
            assert_eq!(redacted(url), quoted, "{url}");
        }
    }
}
