//! Which URLs are safe to ask and to name.

use http::Uri;

/// Whether a text is an `https` URL, or an `http` URL of a loopback host.
pub(crate) fn is_secure(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| match uri.scheme_str() {
        Some("https") => uri.host().is_some_and(|host| !host.is_empty()),
        Some("http") => is_loopback(&uri),
        _ => false,
    })
}

/// Whether a text begins as an `http` URL and is none of a loopback host.
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
