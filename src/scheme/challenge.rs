//! The `WWW-Authenticate` field, and the one place that writes it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
};

use http::{HeaderMap, HeaderValue, header};

use super::{Bearer, Scheme, locate::Schemes};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    log,
    scope::Scopes,
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
    realm: Box<str>,
    resource_metadata: Option<Box<str>>,
    scope: Option<Scopes>,
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

    /// The scopes that a client should request first.
    #[must_use]
    pub fn scope(mut self, scopes: Scopes) -> Self {
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

/// The contents of a [`Scheme`]'s challenge.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChallengeRequest<'a> {
    /// The error, if the refused credential came under this scheme, or if that is unknown. `None` if no credential was
    /// sent ([RFC 6750 §3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)).
    pub error: Option<ChallengeError<'a>>,
    /// The protection space; it needs no escaping.
    pub realm: &'a str,
    /// The URL of the protected resource metadata; it needs no escaping.
    pub resource_metadata: Option<&'a str>,
    /// The scopes to request: all that the operation needs, or those that a client should request first.
    pub scope: Option<&'a Scopes>,
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

    fn is(&self, other: &ChallengeError<'_>) -> bool {
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
    separator: &'static str,
}

impl ChallengeLine {
    /// A challenge of this scheme.
    pub fn new(scheme: &str) -> Self {
        Self { text: scheme.to_owned(), separator: " " }
    }

    /// Adds a parameter, as a quoted string. Characters that cannot be quoted are left out.
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.text.extend([self.separator, name, "=\""]);
        for c in value.chars().filter(|c| matches!(c, ' '..='~')) {
            if matches!(c, '"' | '\\') {
                self.text.push('\\');
            }
            self.text.push(c);
        }
        self.text.push('"');
        self.separator = ", ";
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

    fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.text).ok()
    }
}

impl std::fmt::Display for ChallengeLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Under which scheme the refused credential came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Presented {
    /// It is unknown which one was meant: each challenge reports the error.
    Any,
    /// The scheme at this place; if it has no challenge, the first challenge reports the error.
    Scheme(usize),
}

/// The challenges of a layer, rendered once where they depend on nothing of a request.
#[derive(Debug)]
pub(crate) struct Challenges {
    challenge: Challenge,
    schemes: Vec<Arc<dyn Scheme>>,
    /// Places of schemes that have a challenge, in the order in which these are written.
    order: Vec<usize>,
    malformed: Box<[HeaderValue]>,
    missing: Box<[HeaderValue]>,
    /// The lines, by the place of their schemes.
    invalid: Box<[Box<[HeaderValue]>]>,
}

impl Challenges {
    pub(crate) fn new(challenge: Challenge, schemes: &Schemes) -> Self {
        let mut schemes: Vec<_> = schemes.iter().map(Arc::clone).collect();
        let count = schemes.len();
        let mut this = Self {
            challenge,
            schemes: Vec::new(),
            order: Vec::new(),
            malformed: Box::default(),
            missing: Box::default(),
            invalid: Box::default(),
        };
        let request = this.request(None, None);
        this.order = (0..count).filter(|place| schemes[*place].challenge(&request).is_some()).collect();
        if this.order.is_empty() {
            // RFC 9110 §15.5.2: a 401 has a challenge.
            schemes.push(Arc::new(Bearer::default()));
            this.order = vec![count];
        }
        this.order.sort_by_key(|place| schemes[*place].challenge_order());
        this.schemes = schemes;
        let scope = this.challenge.scope.as_ref();
        let malformed = this.render(None, Some(ChallengeError::INVALID_REQUEST), Presented::Any);
        let missing = this.render(scope, None, Presented::Any);
        let invalid = (0..count)
            .map(|place| this.render(scope, Some(ChallengeError::INVALID_TOKEN), Presented::Scheme(place)))
            .collect();
        Self { malformed, missing, invalid, ..this }
    }

    /// Those of a refusal that no layer made.
    pub(crate) fn fallback() -> &'static Self {
        static FALLBACK: LazyLock<Challenges> =
            LazyLock::new(|| Challenges::new(Challenge::default(), &Schemes::new([Arc::new(Bearer::default()) as _])));
        &FALLBACK
    }

    /// Writes the challenges, each as a field line of its own, in the place of those that are present.
    ///
    /// `scope` is used where the challenges were not rendered before.
    pub(crate) fn write(
        &self,
        error: Option<ChallengeError<'_>>,
        scope: Option<&Scopes>,
        presented: Presented,
        headers: &mut HeaderMap,
    ) {
        let rendered;
        let lines = match (error, presented) {
            (None, _) => &self.missing,
            (Some(error), _) if error.is(&ChallengeError::INVALID_REQUEST) => &self.malformed,
            (Some(error), Presented::Scheme(place))
                if error.is(&ChallengeError::INVALID_TOKEN) && place < self.invalid.len() =>
            {
                &self.invalid[place]
            }
            (Some(error), presented) => {
                // Custom schemes run here, outside of any check: a panic costs the error, and not the response.
                match catch_unwind(AssertUnwindSafe(|| self.render(scope, Some(error), presented))) {
                    Ok(lines) => {
                        rendered = lines;
                        &rendered
                    }
                    Err(_) => {
                        log::error!("the challenge of a scheme panicked; the response has no error code");
                        &self.missing
                    }
                }
            }
        };
        headers.remove(header::WWW_AUTHENTICATE);
        for line in lines {
            headers.append(header::WWW_AUTHENTICATE, line.clone());
        }
    }

    /// The scopes that a client should request first.
    pub(crate) const fn scope(&self) -> Option<&Scopes> {
        self.challenge.scope.as_ref()
    }

    fn render(
        &self,
        scope: Option<&Scopes>,
        error: Option<ChallengeError<'_>>,
        presented: Presented,
    ) -> Box<[HeaderValue]> {
        let reporting = match presented {
            Presented::Scheme(place) if !self.order.contains(&place) => self.order.first().copied(),
            Presented::Scheme(place) => Some(place),
            Presented::Any => None,
        };
        let lines = self.order.iter().filter_map(|place| {
            let error = error.filter(|_| reporting.is_none_or(|reporting| reporting == *place));
            self.schemes[*place].challenge(&self.request(scope, error))?.value()
        });
        lines.collect()
    }

    fn request<'a>(&'a self, scope: Option<&'a Scopes>, error: Option<ChallengeError<'a>>) -> ChallengeRequest<'a> {
        let Challenge { realm, resource_metadata, .. } = &self.challenge;
        ChallengeRequest { error, realm, resource_metadata: resource_metadata.as_deref(), scope }
    }
}

/// RFC 6750 §3: `%x20-21 / %x23-5B / %x5D-7E`.
const fn is_quotable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}
