//! Redirect URIs.

use tower_warden::{ConfigError, metadata::ProtectedResourceMetadata};

/// A redirect URI of a client.
#[derive(Clone, Debug)]
pub(super) struct RedirectUri(Box<str>);

impl RedirectUri {
    /// Parses an `https` URL, or an `http` URL of a loopback host, without user information and fragment.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        // The same rules as for the URL of a resource.
        let is_url = ProtectedResourceMetadata::new(text).is_ok() && !text.contains('#');
        if is_url && text.len() <= Self::MAX_BYTES {
            return Ok(Self(text.into()));
        }
        let message = "a redirect URI is an https URL (http for a loopback host) of up to 512 bytes without a fragment";
        let error = ConfigError::custom(message);
        // A user name, a query and a fragment may be secret.
        Err(if text.contains(['?', '#', '@']) { error } else { error.value(text) })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// RFC 9700 §2.1: compared byte for byte. RFC 8252 §7.3: except for the port of a loopback host, which the
    /// operating system of the client chooses.
    pub(super) fn accepts(&self, requested: &str) -> bool {
        let is_of_other_port = || without_port(&self.0).is_some_and(|own| Some(own) == without_port(requested));
        *self.0 == *requested || is_of_other_port()
    }

    const MAX_BYTES: usize = 512;
}

/// The host of an `http` URL and what follows its port; `None` if the host is not loopback, or the port not a number.
fn without_port(url: &str) -> Option<(&str, &str)> {
    let url = url.strip_prefix("http://")?;
    let end = url.find(['/', '?']).unwrap_or(url.len());
    let (authority, rest) = url.split_at(end);
    let (host, port) = match authority.rsplit_once(':') {
        // The last colon may be one of an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, "80"),
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    (is_port && is_loopback_host(host)).then_some((host, rest))
}

/// Returns whether a host is this machine, by its usual names.
pub(super) fn is_loopback_host(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}

/// Returns whether the host of a URL is this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    url.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some_and(is_loopback_host))
}

/// Adds parameters to the query of a redirect URI, RFC 6749 §4.1.2.
pub(super) fn with_parameters<'a>(uri: &str, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut url = uri.to_owned();
    for (name, value) in parameters {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        for byte in value.bytes() {
            match byte {
                b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
                _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
                _ => url.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    url
}
