//! The `WWW-Authenticate` field: RFC 6750 §3, RFC 9470 §3, RFC 9728 §5.1. The one place that writes it.

use http::{HeaderMap, HeaderValue, header};

use crate::{
    error::{ConfigError, ConfigErrorKind},
    origin,
    rejection::{Rejection, RejectionKind},
    scope::Scopes,
    step_up::StepUp,
};

/// What a refusal tells clients about how to be let in.
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
    /// The fields that need no scopes of the request's, made once.
    invalid: HeaderValue,
    malformed: HeaderValue,
    missing: HeaderValue,
}

impl Challenge {
    /// Names the protection space, RFC 9110 §11.5.
    ///
    /// # Errors
    ///
    /// If `realm` has a character other than visible ASCII and space, or a `"` or `\`.
    pub fn new(realm: &str) -> Result<Self, ConfigError> {
        if !realm.bytes().all(is_quotable) {
            return Err(ConfigError::new(ConfigErrorKind::Challenge, "a realm is ASCII without '\"' and '\\'"));
        }
        let empty = HeaderValue::from_static("");
        let (invalid, malformed, missing) = (empty.clone(), empty.clone(), empty);
        Ok(Self { realm: realm.into(), resource_metadata: None, scope: None, invalid, malformed, missing }.rendered())
    }

    /// Where the protected resource metadata of RFC 9728 stands.
    ///
    /// # Errors
    ///
    /// If it is no `https` URL, or has a user name; `http` is accepted for a loopback host.
    pub fn resource_metadata(mut self, url: &str) -> Result<Self, ConfigError> {
        // What a URL is written with may stand in a quoted string.
        if !origin::is_secure(url) {
            return Err(ConfigError::new(ConfigErrorKind::Challenge, "resource_metadata is an https URL"));
        }
        self.resource_metadata = Some(url.into());
        Ok(self.rendered())
    }

    /// The scopes that a client should ask for to begin with.
    #[must_use]
    pub fn scope(mut self, scopes: Scopes) -> Self {
        self.scope = Some(scopes).filter(|scopes| !scopes.is_empty());
        self.rendered()
    }

    /// Writes the challenge that fits the rejection, where one does.
    pub(crate) fn write(&self, rejection: &Rejection, headers: &mut HeaderMap) {
        let value = match (rejection.kind(), rejection.needed()) {
            (RejectionKind::Invalid, _) => self.invalid.clone(),
            (RejectionKind::Malformed, _) => self.malformed.clone(),
            (RejectionKind::Missing, _) => self.missing.clone(),
            (RejectionKind::Forbidden, Some(needed)) => self.render(Some(needed), Some(rejection)),
            (RejectionKind::StepUp, _) => self.render(None, Some(rejection)),
            // No other credential would help.
            (
                RejectionKind::Forbidden
                | RejectionKind::Internal
                | RejectionKind::Throttled
                | RejectionKind::Unavailable,
                _,
            ) => return,
        };
        headers.insert(header::WWW_AUTHENTICATE, value);
    }

    fn rendered(mut self) -> Self {
        let refusal = |kind| Rejection::new(kind, "");
        self.invalid = self.render(self.scope.as_ref(), Some(&refusal(RejectionKind::Invalid)));
        self.malformed = self.render(None, Some(&refusal(RejectionKind::Malformed)));
        // RFC 6750 §3.1: no error code where no credential was sent.
        self.missing = self.render(self.scope.as_ref(), None);
        self
    }

    fn render(&self, scope: Option<&Scopes>, error: Option<&Rejection>) -> HeaderValue {
        let mut text = format!("Bearer realm=\"{}\"", self.realm);
        let mut push = |name: &str, value: &str| text.extend([", ", name, "=\"", value, "\""]);
        if let Some(url) = &self.resource_metadata {
            push("resource_metadata", url);
        }
        if let Some(scope) = scope {
            push("scope", &scope.to_string());
        }
        if let Some(error) = error {
            push("error", error.code());
            push("error_description", error.detail());
            for (name, value) in error.step_up().into_iter().flat_map(StepUp::parameters) {
                push(name, &value);
            }
        }
        HeaderValue::try_from(text).expect("every part was parsed into visible ASCII and spaces")
    }
}

/// The realm `api`.
impl Default for Challenge {
    fn default() -> Self {
        Self::new("api").expect("the realm is quotable")
    }
}

/// RFC 6750 §3: `%x20-21 / %x23-5B / %x5D-7E`.
const fn is_quotable(byte: u8) -> bool {
    matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)
}
