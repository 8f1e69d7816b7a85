//! The URL that a proof names, and the comparison of URLs.

use crate::{
    error::{ConfigError, ConfigErrorKind},
    request::Head,
    url,
};

/// The change that a proxy makes to the path of a request, from that of the public URL to that of the request here.
///
/// See [`Dpop::path_rewrite`](super::Dpop::path_rewrite).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PathRewrite {
    /// The proxy adds this prefix, which begins with a slash: a request to `/orders` arrives as `/api/orders`.
    PrefixAdded(Box<str>),
    /// The proxy removes the path of the public URL.
    PrefixRemoved,
    /// The path arrives as the client sent it.
    Unchanged,
}

/// A public URL of the API: normalised, without a trailing slash.
#[derive(Clone, Debug)]
pub(super) struct PublicUrl {
    text: Box<str>,
    /// The index at which the path begins.
    path: usize,
}

/// The URLs that the proof of a request may name: one for each public URL.
pub(super) type ExpectedUrls = Vec<String>;

impl PublicUrl {
    pub(super) fn parse(url: &str) -> Result<Self, ConfigError> {
        Self::parse_accepted(url, url::is_secure(url))
    }

    /// Parses a URL that may be of plain `http`, because that was declared elsewhere.
    pub(super) fn parse_http(url: &str) -> Result<Self, ConfigError> {
        Self::parse_accepted(url, url::is_http(url))
    }

    fn parse_accepted(url: &str, is_accepted: bool) -> Result<Self, ConfigError> {
        let is_plain = !url.contains(['?', '#', '@']);
        let Some(normalised) = normalised(url).filter(|_| is_plain && is_accepted) else {
            let message = "a public URL is an https URL without a query, a fragment and a user name";
            return Err(ConfigError::new(ConfigErrorKind::Dpop, message).value(url::redacted(url)));
        };
        let text: Box<str> = normalised.trim_end_matches('/').into();
        let authority = text.find("://").map_or(0, |scheme| scheme + "://".len());
        let path = text[authority..].find('/').map_or(text.len(), |length| authority + length);
        Ok(Self { text, path })
    }

    /// Returns whether the URL is more than an origin.
    pub(super) fn has_path(&self) -> bool {
        self.path < self.text.len()
    }

    /// The URL that the proof of a request for this path must name; `None` if the proxy sends no such path.
    fn of_path(&self, path: &str, rewrite: Option<&PathRewrite>) -> Option<String> {
        let (origin, prefix) = self.text.split_at(self.path);
        let rest = |prefix: &str| path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        match rewrite {
            Some(PathRewrite::PrefixAdded(added)) => Some(format!("{}{}", self.text, rest(added)?)),
            Some(PathRewrite::Unchanged) => Some(format!("{origin}{path}")),
            // What begins with the path of the public URL was not changed. So two paths are those of one URL: the verifier
            // has warned of that.
            None if !prefix.is_empty() && rest(prefix).is_some() => Some(format!("{origin}{path}")),
            None | Some(PathRewrite::PrefixRemoved) => Some(format!("{}{path}", self.text)),
        }
    }

    /// Returns whether `url` is the public URL without a slash at its end. A proxy that removes its path sends `/` for a
    /// request with that slash and for one without.
    fn is_root(&self, url: &str) -> bool {
        *url == *self.text && self.has_path()
    }
}

/// The URLs that the proof of this request may name. The path is normalised alone, so that its dot segments cannot remove the
/// prefix of a public URL.
pub(super) fn expected(urls: &[PublicUrl], rewrite: Option<&PathRewrite>, head: &Head<'_>) -> ExpectedUrls {
    let Some(path) = normalised_path(head.original_uri().path()) else { return Vec::new() };
    let mut expected = ExpectedUrls::with_capacity(urls.len());
    for public in urls {
        let Some(url) = public.of_path(&path, rewrite) else { continue };
        let without_slash = url.strip_suffix('/').filter(|url| public.is_root(url) && path == "/");
        expected.extend(without_slash.map(str::to_owned));
        expected.push(if url.len() == public.path { format!("{url}/") } else { url });
    }
    expected
}

/// Returns whether `htu` is one of the expected URLs.
pub(super) fn is_expected(htu: &str, expected: &[String]) -> bool {
    let is = |url: &str| expected.iter().any(|expected| *expected == *url);
    is(htu) || normalised(htu).is_some_and(|url| is(&url))
}

/// A path that is normalised and has no slash at its end.
pub(super) fn check_prefix(prefix: &str) -> Result<Box<str>, ConfigError> {
    let trimmed = prefix.trim_end_matches('/');
    if trimmed.starts_with('/') && strictly_normalised_path(trimmed).as_deref() == Some(trimmed) {
        return Ok(trimmed.into());
    }
    let message = "a path prefix begins with a slash, is not only a slash, and is normalised";
    Err(ConfigError::new(ConfigErrorKind::Dpop, message).value(prefix))
}

/// Normalises a URL by RFC 3986 §6.2.2 and §6.2.3, without query and fragment; `None` if it is not an `http` or `https` URL.
///
/// A path that is not valid by RFC 3986 is not changed: browsers send characters such as `|` unescaped, and a proof names
/// them in the same way.
fn normalised(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (scheme, default) = match scheme {
        scheme if scheme.eq_ignore_ascii_case("https") => ("https", 443),
        scheme if scheme.eq_ignore_ascii_case("http") => ("http", 80),
        _ => return None,
    };
    // RFC 9449 §4.3 check 9: without query and fragment.
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'[' | b']' | b':');
    if host.is_empty() || !host.bytes().all(is_host) || host.contains(':') && !host.starts_with('[') {
        return None;
    }
    let mut text = format!("{scheme}://{}", host.to_ascii_lowercase());
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        _ if port.is_empty() => {}
        Ok(port) if is_number && port == default => {}
        Ok(port) if is_number => text.extend([":", &port.to_string()]),
        _ => return None,
    }
    text.push_str(&normalised_path(path)?);
    Some(text)
}

/// A normalised path, or an invalid one byte for byte, which equals no normalised path; `None` if it does not begin with a
/// slash.
fn normalised_path(path: &str) -> Option<String> {
    strictly_normalised_path(path).or_else(|| path.starts_with('/').then(|| path.to_owned()))
}

/// `None` if a percent sign is not followed by two hexadecimal digits, or if a character is not allowed in a path.
fn strictly_normalised_path(path: &str) -> Option<String> {
    remove_dots(&decode_unreserved(path)?)
}

/// RFC 3986 §6.2.2.1 and §6.2.2.2.
fn decode_unreserved(path: &str) -> Option<String> {
    let (mut text, mut bytes) = (String::with_capacity(path.len()), path.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next().unwrap_or_default()).to_digit(16);
                let value = digit()? * 16 + digit()?;
                let value = u8::try_from(value).ok()?;
                if is_unreserved(value) {
                    text.push(char::from(value));
                } else {
                    text.push_str(&format!("%{value:02X}"));
                }
            }
            0x21..=0x7e if !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}') => {
                text.push(char::from(byte));
            }
            _ => return None,
        }
    }
    Some(text)
}

/// RFC 3986 §5.2.4, for paths that begin with a slash; an empty one is a slash (§6.2.3).
fn remove_dots(path: &str) -> Option<String> {
    let path = if path.is_empty() { "/" } else { path };
    let rest = path.strip_prefix('/')?;
    let mut segments = Vec::new();
    let mut parts = rest.split('/').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    segments.pop();
                }
                if is_last {
                    segments.push("");
                }
            }
            part => segments.push(part),
        }
    }
    Some(format!("/{}", segments.join("/")))
}

/// RFC 3986 §2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_urls_are_normalised_to_one_url() {
        let same = "https://api.example.com/a/b~c/%2F";
        for url in [
            same,
            "HTTPS://API.Example.com/a/b~c/%2f",
            "https://api.example.com:443/a/b~c/%2F",
            "https://api.example.com:/a/b~c/%2F",
            "https://api.example.com:0443/a/b~c/%2F",
            "https://api.example.com/a/b%7Ec/%2F",
            "https://api.example.com/x/../a/./%62~c/%2F",
            "https://api.example.com/x/%2e%2E/a/b~c/%2F",
            "https://api.example.com/a/b~c/%2F?q=1",
            "https://api.example.com/a/b~c/%2F#f",
        ] {
            assert_eq!(normalised(url).as_deref(), Some(same), "{url}");
        }
        assert_eq!(normalised("https://h"), normalised("https://h/"));
        assert_eq!(normalised("http://[::1]:80/"), normalised("http://[::1]"));
        assert_eq!(normalised("http://[::1]:8080/").as_deref(), Some("http://[::1]:8080/"));
    }

    #[test]
    fn urls_that_differ_stay_different() {
        let urls = [
            "https://h/a",
            "https://h/a/",
            "https://h/A",
            "https://h//a",
            "https://h/a%2Fb",
            "https://h/a/b",
            "http://h/a",
            "https://h:8443/a",
            "https://h:80/a",
            "https://i/a",
            "https://h./a",
            "https://h/a;b",
            "https://h/a%3Bb",
            "https://h/",
            "https://h/.a",
            "https://h/a..",
        ];
        let normalised: std::collections::BTreeSet<_> =
            urls.iter().map(|url| normalised(url).expect("a URL")).collect();
        assert_eq!(normalised.len(), urls.len());
    }

    #[test]
    fn invalid_urls_are_refused() {
        for url in [
            "",
            "/a",
            "h/a",
            "ftp://h/a",
            "https:///a",
            "https://",
            "https://u@h/a",
            "https://u:p@h/a",
            "https://h:x/a",
            "https://h:-1/a",
            "https://h:+443/a",
            "https://h:99999/a",
            "https://ä/",
            "https://h\\a/",
            "https://a:b:c/",
        ] {
            assert_eq!(normalised(url), None, "{url}");
        }
    }

    #[test]
    fn invalid_paths_are_not_changed_and_equal_no_other_path() {
        for path in ["/a%", "/a%4", "/%zz", "/a b", "/ä", "/\"", "/a|b", "/%2%35", "/a|b/../c", "/%41|"] {
            assert_eq!(normalised(&format!("HTTPS://H:443{path}?q")), Some(format!("https://h{path}")));
        }
    }

    #[test]
    fn dot_segments_do_not_leave_the_public_url() {
        let public = PublicUrl::parse("https://h/base/").expect("a URL");
        let urls = |path: &str| {
            let request = http::Request::builder().uri(path).body(()).expect("a request");
            expected(std::slice::from_ref(&public), None, &Head::from(&request))
        };
        assert_eq!(urls("/a"), ["https://h/base/a"]);
        assert_eq!(urls("/"), ["https://h/base", "https://h/base/"]);
        assert_eq!(urls("/../../a"), ["https://h/base/a"]);
        assert_eq!(urls("https://other/a?b"), ["https://h/base/a"]);
        assert!(urls("*").is_empty());
    }
}
