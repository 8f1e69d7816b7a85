use std::fmt;

use http::Uri;
use tower_warden::ConfigError;

/// The origin of an API or an authorization server: scheme, host and port ([RFC 6454
/// §4](https://www.rfc-editor.org/rfc/rfc6454#section-4)).
///
/// Plain `http` is accepted for the hosts `localhost`, `127.0.0.1` and `[::1]` only.
///
/// # Examples
///
/// ```
/// use tower_warden_client::Origin;
///
/// let origin = Origin::parse("https://api.example.com")?;
/// assert!(origin.contains(&"https://API.example.com:443/orders?page=2".parse()?));
/// assert!(!origin.contains(&"https://api.example.com.evil.example/orders".parse()?));
/// assert!(!origin.contains(&"http://api.example.com/orders".parse()?));
///
/// assert!(Origin::parse("http://api.example.com").is_err());
/// assert!(Origin::parse("http://127.0.0.1:8080").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Origin {
    /// The host, in lower case.
    host: Box<str>,
    port: u16,
    scheme: Scheme,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Scheme {
    Http,
    Https,
}

impl Origin {
    /// Parses an origin, such as `https://api.example.com`.
    ///
    /// # Errors
    ///
    /// If it is not an `https` origin, or an `http` origin of a loopback host; or if it has a user name, a path or a
    /// query.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let uri = secure_uri(text)?;
        if uri.path() != "/" || uri.query().is_some() {
            return Err(refused("an origin is a scheme, a host and a port", text));
        }
        Self::of(&uri).ok_or_else(|| refused(SYNTAX, text))
    }

    /// Returns whether requests to this URL are requests to this origin. A URL whose path does not begin with `/`, such as
    /// `*`, is not: a client that joins host and path would send the request to another host.
    #[must_use]
    pub fn contains(&self, uri: &Uri) -> bool {
        // Without parsing the authority: what follows the host is a port or nothing.
        let parts = uri.authority().and_then(|authority| authority.as_str().split_at_checked(self.host.len()));
        parts.is_some_and(|(host, port)| {
            // As bytes first: most clients write the host in lower case.
            let is_host = *host == *self.host || host.eq_ignore_ascii_case(&self.host);
            is_host && uri.scheme_str() == Some(self.scheme.name()) && self.has_port(port) && is_separate(uri)
        })
    }

    /// Returns whether the end of an authority is this port, with its colon, or states none where it is the default.
    fn has_port(&self, text: &str) -> bool {
        match text.split_at_checked(1) {
            None | Some((":", "")) => self.port == self.scheme.default_port(),
            Some((":", port)) => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse() == Ok(self.port),
            Some(_) => false,
        }
    }

    /// The origin of a URL, secure or not.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let (scheme, host, port) = parts(uri)?;
        Some(Self { host: host.to_ascii_lowercase().into(), port, scheme })
    }
}

impl Scheme {
    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Returns whether the path of a URL, where there is one, is separated from its host by a slash. `Uri` has no other
/// check of it: the path `*` is appended to the host, and before http 1.4.1, so is `@evil.example`.
pub(crate) fn is_separate(uri: &Uri) -> bool {
    matches!(uri.path().as_bytes(), [] | [b'/', ..])
}

/// Parses an `https` URL, or an `http` URL of a loopback host, without a user name.
pub(crate) fn secure_uri(text: &str) -> Result<Uri, ConfigError> {
    let uri: Uri = text.parse().map_err(|_| refused(SYNTAX, text))?;
    match parts(&uri) {
        Some((Scheme::Https, ..) | (Scheme::Http, "127.0.0.1" | "[::1]" | "localhost", _)) if !text.contains('#') => {
            Ok(uri)
        }
        _ => Err(refused(SYNTAX, text)),
    }
}

/// Parses an `https` or `http` URL of any host, without a user name.
pub(crate) fn http_uri(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    parts(&uri).filter(|_| !text.contains('#'))?;
    Some(uri)
}

/// `None` if the URL has no host, has a user name, or is of another scheme.
fn parts(uri: &Uri) -> Option<(Scheme, &str, u16)> {
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return None,
    };
    let authority = uri.authority()?;
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return None;
    }
    let port = match authority.as_str().strip_prefix(authority.host())? {
        "" | ":" => scheme.default_port(),
        _ => authority.port_u16()?,
    };
    Some((scheme, authority.host(), port))
}

/// The value is not quoted where it may contain a secret.
pub(crate) fn refused(message: &'static str, text: &str) -> ConfigError {
    let error = ConfigError::custom(message);
    if text.contains(['@', '?', '#']) { error } else { error.value(text) }
}

const SYNTAX: &str = "a URL is an https URL, or an http URL of a loopback host, without a user name and a fragment";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_as_a_whole() {
        let origin = Origin::parse("https://api.example:8443/").expect("an origin");
        assert!(origin.contains(&"https://API.example:8443/a".parse().expect("a URL")));
        for same in
            ["https://api.example", "https://API.example:/", "https://api.example:443?a", "https://api.example:0443/"]
        {
            let origin = Origin::parse("https://api.example").expect("an origin");
            assert!(origin.contains(&same.parse().expect("a URL")), "{same}");
        }
        for other in [
            "/relative",
            "https://api.example:8443x/",
            "https://api.example:+8443/",
            "https://api.example:",
            "https://api.example.evil:8443/",
            "https://api.exampl:8443/",
            "https://api.example:73979/",
            "http://api.example:8443/",
            "https://api.example/",
            "https://api.example:8443.evil.example/",
            "https://api.example:8443@evil.example/",
            "https://user@api.example:8443/",
            "https://evil.example:8443/?https://api.example:8443/",
        ] {
            let contains = other.parse::<Uri>().is_ok_and(|uri| origin.contains(&uri));
            assert!(!contains, "{other}");
        }
    }

    #[test]
    fn a_path_that_would_continue_the_host_is_of_no_origin() {
        let origin = Origin::parse("https://api.example").expect("an origin");
        let url = |path: &str| Uri::builder().scheme("https").authority("api.example").path_and_query(path).build();
        for same in ["/", "/*", "?a=*", "/@evil.example"] {
            assert!(origin.contains(&url(same).expect("a URL")), "{same}");
        }
        assert!(!origin.contains(&url("*").expect("a URL")));
        assert!(!is_separate(&Uri::from_static("*")));
        // http refuses these since 1.4.1.
        for path in ["@evil.example/x", ".evil.example/x", ":8443/x"] {
            assert!(url(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_url_that_is_not_secure_is_refused_without_quoting_a_password() {
        for text in ["http://api.example", "ftp://api.example", "//api.example", "https://", "https://api.example/#x"] {
            assert!(secure_uri(text).is_err(), "{text}");
        }
        let error = secure_uri("https://user:hunter2@api.example").expect_err("a password");
        assert!(!error.to_string().contains("hunter2"));
    }
}
