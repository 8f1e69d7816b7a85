//! The public origin of a server, as its clients address it.

use http::Uri;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    url,
};

/// The scheme and the authority of requests, from the configuration, or of a URL that a client calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Origin {
    /// `https://api.example.com`
    text: Box<str>,
    authority: usize,
    /// The prefix of paths that a proxy removes; empty, or beginning with a slash.
    prefix: Box<str>,
}

impl Origin {
    /// Parses `https://api.example.com`.
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::parse_accepted(text, url::is_secure(text))
    }

    /// Parses an origin that may be one of plain `http`.
    pub(super) fn parse_http(text: &str) -> Result<Self, ConfigError> {
        Self::parse_accepted(text, url::is_http(text))
    }

    fn parse_accepted(text: &str, is_accepted: bool) -> Result<Self, ConfigError> {
        let is_origin = |uri: &Uri| matches!(uri.path(), "" | "/") && uri.query().is_none() && !text.contains('#');
        let uri = url::parse(text).filter(|uri| is_accepted && is_origin(uri));
        uri.as_ref().and_then(Self::of).ok_or_else(|| {
            let message = "an origin is an https URL without a path, a query, a fragment and a user name; http is for a loopback \
                           host, or for `SignaturePolicy::danger_plain_http`";
            ConfigError::new(ConfigErrorKind::Signature, message).value(url::redacted(text))
        })
    }

    /// The origin of an absolute URI. RFC 9421 §2.2.3: in lower case, without the default port.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let (scheme, host) = (uri.scheme_str()?.to_ascii_lowercase(), uri.host()?.to_ascii_lowercase());
        let default = match &*scheme {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let mut text = format!("{scheme}://{host}");
        if let Some(port) = uri.port_u16().filter(|port| *port != default) {
            text.push_str(&format!(":{port}"));
        }
        Some(Self { text: text.into(), authority: scheme.len() + "://".len(), prefix: Box::default() })
    }

    /// Sets the prefix of paths that a proxy removes.
    pub(super) fn with_removed_prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        let is_path = prefix.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
        if !prefix.starts_with('/') || prefix.ends_with('/') || !is_path {
            let message = "a prefix begins with a slash and does not end with one, such as `/api`";
            return Err(ConfigError::new(ConfigErrorKind::Signature, message).value(prefix));
        }
        self.prefix = prefix.into();
        Ok(self)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn authority(&self) -> &str {
        &self.text[self.authority..]
    }

    pub(super) fn scheme(&self) -> &str {
        &self.text[..self.authority - "://".len()]
    }

    pub(super) fn removed_prefix(&self) -> &str {
        &self.prefix
    }
}

/// The target that a client sends to the server of an absolute URI (RFC 9112 §3.2.1).
pub(super) fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from)
}
