//! Challenges: what a layer is configured with, what a scheme is asked for, and the line that it returns.

use std::ops::Range;

use http::HeaderValue;

use crate::{
    error::{ConfigError, ConfigErrorKind},
    scope::{Scope, Scopes},
    url,
};

/// The parameters that the challenges of all schemes share.
///
/// # Examples
///
/// ```
/// use tower_warden::{Challenge, scope::Scopes};
///
/// let challenge = Challenge::new("billing")?
///     .resource_metadata("https://api.example.com/.well-known/oauth-protected-resource")?
///     .scope(Scopes::parse("billing:read")?);
/// assert!(Challenge::new("bill\"ing").is_err());
/// assert!(challenge.resource_metadata("http://api.example.com/").is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Challenge {
    pub(super) realm: Box<str>,
    pub(super) resource_metadata: Option<Box<str>>,
    pub(super) scope: Option<Scopes>,
}

impl Challenge {
    /// The protection space ([RFC 9110 §11.5](https://www.rfc-editor.org/rfc/rfc9110#section-11.5)).
    ///
    /// # Errors
    ///
    /// If `realm` has a character other than visible ASCII and space, or a `"` or `\`.
    pub fn new(realm: &str) -> Result<Self, ConfigError> {
        if !realm.bytes().all(is_quotable) {
            let error = ConfigError::new(ConfigErrorKind::Challenge, "a realm is visible ASCII without '\"' and '\\'");
            return Err(error.value(realm));
        }
        Ok(Self { realm: realm.into(), resource_metadata: None, scope: None })
    }

    /// The URL of the protected resource metadata
    /// ([RFC 9728 §5.1](https://www.rfc-editor.org/rfc/rfc9728#section-5.1)).
    ///
    /// # Errors
    ///
    /// If it is not an `https` URL, or has a user name; `http` is accepted for a loopback host.
    pub fn resource_metadata(mut self, url: &str) -> Result<Self, ConfigError> {
        // The characters of a URL are allowed in a quoted string.
        if !url::is_secure(url) {
            return Err(ConfigError::new(ConfigErrorKind::Challenge, "resource_metadata is an https URL")
                .value(url::redacted(url)));
        }
        self.resource_metadata = Some(url.into());
        Ok(self)
    }

    /// The URL of protected resource metadata, which has been parsed.
    #[cfg(feature = "metadata")]
    pub(crate) fn with_metadata_url(mut self, url: &str) -> Self {
        self.resource_metadata = Some(url.into());
        self
    }

    /// The scopes that a client should request first. `offline_access` is left out: refresh tokens are a matter between client
    /// and authorization server, not of the resource.
    #[must_use]
    pub fn scope(mut self, scopes: Scopes) -> Self {
        let offline = const { Scope::from_static("offline_access") };
        let scopes = if scopes.contains(&offline) {
            scopes.iter().filter(|scope| **scope != offline).cloned().collect()
        } else {
            scopes
        };
        self.scope = Some(scopes).filter(|scopes| !scopes.is_empty());
        self
    }
}

/// The realm `api`.
impl Default for Challenge {
    fn default() -> Self {
        Self { realm: "api".into(), resource_metadata: None, scope: None }
    }
}

/// The contents of a [`Scheme`](super::Scheme)'s challenge.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChallengeRequest<'a> {
    /// The error, if the refused credential came under this scheme, or if that is unknown. `None` if no credential was
    /// sent ([RFC 6750 §3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)).
    pub error: Option<ChallengeError<'a>>,
    /// The position of the challenge.
    pub position: ChallengePosition,
    /// The protection space; it needs no escaping.
    pub realm: &'a str,
    /// The URL of the protected resource metadata; it needs no escaping.
    pub resource_metadata: Option<&'a str>,
    /// The scopes to request: all that the operation needs, or those that a client should request first.
    pub scope: Option<&'a Scopes>,
}

/// The position of a challenge among those of a response.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ChallengePosition {
    /// The first one, which clients read if they read no other: it has all parameters.
    First,
    /// A later one, which need not repeat what the first one says.
    Later,
}

/// The error that a challenge reports.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ChallengeError<'a> {
    /// The error code, such as `invalid_token`.
    pub code: &'a str,
    /// A fixed sentence for people.
    pub description: &'a str,
    /// The scopes that the operation needs, if the caller lacks some.
    pub needed: Option<&'a Scopes>,
    /// Further parameters, such as `acr_values` and `max_age` of
    /// [RFC 9470 §3](https://www.rfc-editor.org/rfc/rfc9470#section-3).
    pub parameters: &'a [(&'static str, Box<str>)],
}

impl<'a> ChallengeError<'a> {
    /// RFC 6750 §3.1 `invalid_request`.
    pub(crate) const INVALID_REQUEST: ChallengeError<'static> =
        ChallengeError::new("invalid_request", "The credential is malformed, or there is more than one.");

    /// RFC 6750 §3.1 `invalid_token`.
    pub(crate) const INVALID_TOKEN: ChallengeError<'static> =
        ChallengeError::new("invalid_token", "The credential is invalid, expired or revoked.");

    /// An error without further parameters; for tests of a scheme.
    #[must_use]
    pub const fn new(code: &'a str, description: &'a str) -> Self {
        Self { code, description, needed: None, parameters: &[] }
    }

    pub(super) fn is(&self, other: &ChallengeError<'_>) -> bool {
        self.needed.is_none()
            && self.parameters.is_empty()
            && (self.code, self.description) == (other.code, other.description)
    }
}

/// One challenge ([RFC 9110 §11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1)).
///
/// # Examples
///
/// ```
/// use tower_warden::scheme::ChallengeLine;
///
/// let line = ChallengeLine::new("HMAC").parameter("realm", "the \"inner\" api");
/// assert_eq!(line.to_string(), r#"HMAC realm="the \"inner\" api""#);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ChallengeLine {
    text: String,
    /// The places of the names of parameters in the text.
    names: Vec<Range<usize>>,
}

impl ChallengeLine {
    /// A challenge of this scheme.
    pub fn new(scheme: &str) -> Self {
        Self { text: scheme.to_owned(), names: Vec::new() }
    }

    /// Adds a parameter, as a quoted string, unless there is one of this name. Characters that cannot be quoted are left out;
    /// of `error`, `error_description` and `scope`, also those that
    /// [RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3) excludes.
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        // RFC 9110 §11.2: each name occurs once, in any case.
        if self.names.iter().any(|known| self.text[known.clone()].eq_ignore_ascii_case(name)) {
            return self;
        }
        let separator = if self.names.is_empty() { " " } else { ", " };
        self.text.push_str(separator);
        self.names.push(self.text.len()..self.text.len() + name.len());
        self.text.extend([name, "=\""]);
        let is_plain = ["error", "error_description", "scope"].iter().any(|plain| plain.eq_ignore_ascii_case(name));
        let is_kept = |c: &char| matches!(c, ' '..='~') && !(is_plain && matches!(c, '"' | '\\'));
        for c in value.chars().filter(is_kept) {
            if matches!(c, '"' | '\\') {
                self.text.push('\\');
            }
            self.text.push(c);
        }
        self.text.push('"');
        self
    }

    /// Adds `error`, `error_description` and the error's further parameters, if there is one.
    pub fn error(mut self, error: Option<&ChallengeError<'_>>) -> Self {
        if let Some(error) = error {
            self = self.parameter("error", error.code).parameter("error_description", error.description);
            for (name, value) in error.parameters {
                self = self.parameter(name, value);
            }
        }
        self
    }

    pub(super) fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.text).ok()
    }
}

impl std::fmt::Display for ChallengeLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// RFC 6750 §3: `%x20-21 / %x23-5B / %x5D-7E`.
const fn is_quotable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}
