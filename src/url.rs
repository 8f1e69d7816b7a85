//! Which URLs are safe to ask and to name.

use http::Uri;

/// Whether a text is an `https` URL, or an `http` URL of a loopback host; without a user name.
pub(crate) fn is_secure(url: &str) -> bool {
    // `Uri` is more generous than RFC 3986 §2.
    url.bytes().all(is_allowed)
        && url.parse::<Uri>().is_ok_and(|uri| match uri.scheme_str() {
            Some("https") => is_plain(&uri),
            Some("http") => is_plain(&uri) && is_loopback(&uri),
            _ => false,
        })
}

/// Whether the authority is a host, or a host and a port.
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

/// RFC 3986 §2: what a URL is written with.
const fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'?' | b'#' | b'[' | b']' | b'@' | b'!' | b'$')
        || matches!(byte, b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b'%')
}

/// Whether a text begins as an `http` URL and is none of a loopback host.
#[cfg(feature = "jwt")]
pub(crate) fn is_insecure(text: &str) -> bool {
    text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("http:")) && !is_secure(text)
}

/// Whether the host is this machine, by its name.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    uri.host().is_some_and(is_loopback_host)
}

/// Whether the host of a URL is this machine, by its name.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}
