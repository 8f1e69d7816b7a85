//! The `WWW-Authenticate` field: RFC 6750 §3, RFC 9449 §7.1, RFC 9470 §3, RFC 9728 §5.1. The one place that writes it.

use http::{HeaderMap, HeaderValue, header};

use crate::{
    authorize::StepUp,
    error::{ConfigError, ConfigErrorKind},
    refusal::{Rejection, RejectionKind},
    scope::Scopes,
    url,
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
    /// Of DPoP, if that is spoken.
    algorithms: Option<Box<str>>,
    scheme: Scheme,
    /// The fields that need no scopes of the request's, made once.
    invalid: Box<[HeaderValue]>,
    invalid_proof: Box<[HeaderValue]>,
    malformed: Box<[HeaderValue]>,
    missing: Box<[HeaderValue]>,
    nonce_required: Box<[HeaderValue]>,
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
        let challenge = Self {
            realm: realm.into(),
            resource_metadata: None,
            scope: None,
            algorithms: None,
            scheme: Scheme::Bearer,
            invalid: Box::default(),
            invalid_proof: Box::default(),
            malformed: Box::default(),
            missing: Box::default(),
            nonce_required: Box::default(),
        };
        Ok(challenge.rendered())
    }

    /// Where the protected resource metadata of RFC 9728 stands.
    ///
    /// # Errors
    ///
    /// If it is no `https` URL, or has a user name; `http` is accepted for a loopback host.
    pub fn resource_metadata(mut self, url: &str) -> Result<Self, ConfigError> {
        // What a URL is written with may stand in a quoted string.
        if !url::is_secure(url) {
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

    /// Names DPoP too, with these algorithms.
    #[must_use]
    pub(crate) fn dpop(mut self, algorithms: &str) -> Self {
        self.algorithms = Some(algorithms.into());
        self.rendered()
    }

    /// The same, for a request whose token came with the scheme `DPoP`: errors are told there (RFC 9449 §7.2).
    #[must_use]
    pub(crate) fn under_dpop(mut self) -> Self {
        self.scheme = Scheme::Dpop;
        self.rendered()
    }

    /// Writes the challenges that fit the rejection, where some do, each on a line of its own.
    pub(crate) fn write(&self, rejection: &Rejection, headers: &mut HeaderMap) {
        let rendered;
        let lines = match (rejection.kind(), rejection.needed()) {
            (RejectionKind::Invalid, _) => &self.invalid,
            (RejectionKind::InvalidProof, _) => &self.invalid_proof,
            (RejectionKind::Malformed, _) => &self.malformed,
            (RejectionKind::Missing, _) => &self.missing,
            (RejectionKind::NonceRequired, _) => &self.nonce_required,
            (RejectionKind::Forbidden, Some(_)) | (RejectionKind::StepUp, _) => {
                rendered = self.lines(rejection.needed(), Some(rejection));
                &rendered
            }
            // No other credential would help.
            (
                RejectionKind::Forbidden
                | RejectionKind::Internal
                | RejectionKind::Throttled
                | RejectionKind::Unavailable,
                _,
            ) => return,
        };
        headers.remove(header::WWW_AUTHENTICATE);
        for line in lines.iter() {
            headers.append(header::WWW_AUTHENTICATE, line.clone());
        }
    }

    fn rendered(mut self) -> Self {
        let lines = |scope: Option<&Scopes>, kind| self.lines(scope, Some(&Rejection::new(kind, "")));
        let scope = self.scope.as_ref();
        let invalid = lines(scope, RejectionKind::Invalid);
        let invalid_proof = lines(scope, RejectionKind::InvalidProof);
        let malformed = lines(None, RejectionKind::Malformed);
        // RFC 6750 §3.1: no error code where no credential was sent.
        let missing = self.lines(scope, None);
        let nonce_required = lines(scope, RejectionKind::NonceRequired);
        (self.invalid, self.invalid_proof, self.malformed) = (invalid, invalid_proof, malformed);
        (self.missing, self.nonce_required) = (missing, nonce_required);
        self
    }

    /// Bearer first, with all that clients look for: some read no other. DPoP after it.
    fn lines(&self, scope: Option<&Scopes>, error: Option<&Rejection>) -> Box<[HeaderValue]> {
        // RFC 9449 §7.2: an error is told under the scheme that was used, and under both where that is not clear.
        let is_told_under = |scheme: Scheme| match error.map(Rejection::kind) {
            None => false,
            Some(RejectionKind::Malformed) => true,
            Some(RejectionKind::InvalidProof | RejectionKind::NonceRequired) => scheme == Scheme::Dpop,
            Some(_) => scheme == self.scheme,
        };
        let told = |scheme| error.filter(|_| is_told_under(scheme));
        let mut bearer = Line::new("Bearer");
        bearer.push("realm", &self.realm);
        if let Some(url) = &self.resource_metadata {
            bearer.push("resource_metadata", url);
        }
        if let Some(scope) = scope {
            bearer.push("scope", &scope.to_string());
        }
        bearer.error(told(Scheme::Bearer));
        let Some(algorithms) = &self.algorithms else { return [bearer.value()].into() };

        let mut dpop = Line::new("DPoP");
        let error = told(Scheme::Dpop);
        if let Some(needed) = error.and_then(Rejection::needed) {
            dpop.push("scope", &needed.to_string());
        }
        dpop.error(error);
        dpop.push("algs", algorithms);
        [bearer.value(), dpop.value()].into()
    }
}

/// Under which scheme a token came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scheme {
    Bearer,
    Dpop,
}

/// One challenge, RFC 9110 §11.6.1.
struct Line {
    text: String,
    separator: &'static str,
}

impl Line {
    fn new(scheme: &str) -> Self {
        Self { text: scheme.to_owned(), separator: " " }
    }

    fn push(&mut self, name: &str, value: &str) {
        self.text.extend([self.separator, name, "=\"", value, "\""]);
        self.separator = ", ";
    }

    fn error(&mut self, error: Option<&Rejection>) {
        if let Some(error) = error {
            self.push("error", error.code());
            self.push("error_description", error.detail());
            for (name, value) in error.step_up().into_iter().flat_map(StepUp::parameters) {
                self.push(name, &value);
            }
        }
    }

    fn value(self) -> HeaderValue {
        HeaderValue::try_from(self.text).expect("every part was parsed into visible ASCII and spaces")
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
