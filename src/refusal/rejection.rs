use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::kind::RejectionKind;
use crate::{
    log,
    reason::Reason,
    scheme::{ChallengeError, Challenges, Presented},
    scope::{Scope, Scopes},
};

/// The `Retry-After` of responses if a dependency is down.
const OUTAGE: Duration = Duration::from_secs(5);

/// The longest explanation, in characters.
const EXPLANATION: usize = 400;

/// A request that was refused.
///
/// It addresses two audiences. The client gets the status, the challenge and a fixed text, which follow from the
/// [kind](RejectionKind). The operator gets the [reason](Self::reason) as well: it is in the response's extensions and in
/// the log, and is a fixed text, so it cannot contain a secret.
///
/// # Examples
///
/// ```
/// use tower_warden::{Reason, Rejection, RejectionKind};
///
/// let rejection = Rejection::new(RejectionKind::Invalid, Reason::KEY_REVOKED);
/// assert_eq!(rejection.status(), 401);
/// assert_eq!(rejection.code(), "invalid_token");
/// assert_eq!(rejection.to_string(), "401 invalid_token (key_revoked)");
/// ```
// Boxed: it is moved in every verdict, also in those that admit.
#[derive(Clone)]
pub struct Rejection(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: RejectionKind,
    reason: Reason,
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    cause: Option<Rejection>,
    explanation: Option<Box<str>>,
    challenges: Option<(Arc<Challenges>, Presented)>,
    /// Values for the extensions of the response.
    extensions: Extensions,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Body,
    needed: Option<Scopes>,
    parameters: Vec<(&'static str, Box<str>)>,
    retry_after: Option<Duration>,
    violated: Vec<Box<str>>,
}

/// The maker of the response's body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Body {
    /// The layer or handler that refuses.
    Final,
    /// The [`Respond`](super::Respond) of a layer outside, if one has been set there.
    Provisional,
}

impl Rejection {
    /// Refuses a request, for a reason that logs and audit show.
    #[must_use]
    pub fn new(kind: RejectionKind, reason: Reason) -> Self {
        let (code, detail) = kind.text();
        Self(Box::new(Inner {
            kind,
            reason,
            status: kind.status(),
            code,
            detail: Cow::Borrowed(detail),
            cause: None,
            explanation: None,
            challenges: None,
            extensions: Extensions::new(),
            fields: Vec::new(),
            body: Body::Final,
            needed: None,
            parameters: Vec::new(),
            retry_after: (kind == RejectionKind::Unavailable).then_some(OUTAGE),
            violated: Vec::new(),
        }))
    }

    /// Refuses a caller that lacks scopes: 403 `insufficient_scope`, which names all that are needed.
    #[must_use]
    pub fn insufficient_scope(needed: Scopes) -> Self {
        let mut this = Self::new(RejectionKind::Forbidden, Reason::INSUFFICIENT_SCOPE);
        if !needed.is_empty() {
            this = this.with_code("insufficient_scope", "The credential lacks a scope that the operation needs.");
            this.0.needed = Some(needed);
        }
        this
    }

    /// Refuses a caller that has exceeded quotas: 429 `quota_exceeded`, which names those quotas.
    #[must_use]
    pub fn quota_exceeded(
        reason: Reason,
        wait: Duration,
        violated: impl IntoIterator<Item = impl Into<Box<str>>>,
    ) -> Self {
        let mut this = Self::new(RejectionKind::Throttled, reason).retry_after(wait);
        this.0.violated = violated.into_iter().map(Into::into).collect();
        this
    }

    /// Replaces the error code, and the fixed sentence for people, of the [kind](RejectionKind).
    #[must_use]
    pub fn with_code(mut self, code: &'static str, detail: &'static str) -> Self {
        (self.0.code, self.0.detail) = (code, Cow::Borrowed(detail));
        self
    }

    /// Describes a mistake in a request to a route of this crate, in the words of the error.
    #[cfg(all(feature = "api-key", feature = "axum"))]
    pub(crate) fn described(mut self, status: StatusCode, code: &'static str, detail: String) -> Self {
        (self.0.status, self.0.code, self.0.detail) = (status, code, Cow::Owned(detail));
        self
    }

    /// Sets when the client may try again. `Retry-After` has whole seconds, rounded up, at least one.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Adds a parameter to the challenge that reports the error.
    #[must_use]
    pub fn challenge_parameter(mut self, name: &'static str, value: impl Into<Box<str>>) -> Self {
        self.0.parameters.push((name, value.into()));
        self
    }

    /// Adds a header field to the response.
    #[must_use]
    pub fn response_field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.fields.push((name, value));
        self
    }

    /// Adds scopes to those that it names, if it names any.
    #[must_use]
    pub(crate) fn also_needs<'a>(mut self, scopes: impl IntoIterator<Item = &'a Scope>) -> Self {
        if let Some(needed) = self.0.needed.take() {
            self.0.needed = Some(needed.iter().cloned().chain(scopes.into_iter().cloned()).collect());
        }
        self
    }

    /// Adds a value to the extensions of the response.
    #[must_use]
    pub(crate) fn response_extension(mut self, value: impl Clone + Send + Sync + 'static) -> Self {
        self.0.extensions.insert(value);
        self
    }

    /// Keeps the refusal that this one replaces, such as that of a revoked key behind a limit on failures.
    #[must_use]
    pub fn caused_by(mut self, cause: Self) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// Adds what the operator needs besides the reason, such as the audience that was expected and the one that was received.
    /// It is written to the log line of the refusal, and clients never see it.
    ///
    /// Up to 400 characters are kept, and control characters are escaped. Never to be called with a secret.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_warden::{Reason, Rejection, RejectionKind};
    ///
    /// let rejection = Rejection::new(RejectionKind::Forbidden, Reason::POLICY).with_explanation("the account is\nclosed");
    /// assert_eq!(rejection.explanation(), Some(r"the account is\nclosed"));
    /// assert_eq!(rejection.to_string(), "403 access_denied (policy)");
    /// ```
    #[must_use]
    pub fn with_explanation(mut self, explanation: impl fmt::Display) -> Self {
        self.0.explanation = Some(log::bounded(&explanation.to_string(), EXPLANATION).into());
        self
    }

    /// Sets the challenges that the response gets. The layers do it, at one exit each.
    #[must_use]
    pub(crate) fn challenged(mut self, challenges: &Arc<Challenges>, presented: Presented) -> Self {
        self.0.challenges = Some((Arc::clone(challenges), presented));
        self
    }

    /// Returns whether the challenges of the response are set.
    pub(crate) const fn has_challenges(&self) -> bool {
        self.0.challenges.is_some()
    }

    /// Leaves the body to the layers outside: an extractor, and a layer without a [`Respond`](super::Respond) of its own, do not
    /// know which one applies.
    #[must_use]
    pub(crate) fn provisional(mut self) -> Self {
        self.0.body = Body::Provisional;
        self
    }

    /// Keeps the body as the layer that refuses has made it.
    pub(super) fn finished(mut self) -> Self {
        self.0.body = Body::Final;
        self
    }

    /// Returns whether a layer outside makes the body.
    pub(crate) fn is_provisional(&self) -> bool {
        self.0.body == Body::Provisional
    }

    /// The kind of the refusal.
    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        self.0.kind
    }

    /// The reason, for logs and audit; clients never see it.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The explanation for the operator, besides the reason; clients never see it. It may quote what the client sent, escaped.
    #[must_use]
    pub fn explanation(&self) -> Option<&str> {
        self.0.explanation.as_deref()
    }

    /// The refusal that this one replaced.
    #[must_use]
    pub const fn cause(&self) -> Option<&Self> {
        self.0.cause.as_ref()
    }

    /// The scopes that the operation needs, if the caller lacks some.
    #[must_use]
    pub const fn needed(&self) -> Option<&Scopes> {
        self.0.needed.as_ref()
    }

    /// The time after which the client may try again.
    #[must_use]
    pub const fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The names of the quotas that the caller has exceeded.
    #[must_use]
    pub fn violated(&self) -> &[Box<str>] {
        &self.0.violated
    }

    /// The status of the response.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The error code, a stable word for programs:
    /// [RFC 6750 §3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1) and
    /// [RFC 9470 §3](https://www.rfc-editor.org/rfc/rfc9470#section-3) where they have one.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.0.code
    }

    /// A fixed sentence for people, the same for every refusal with this code. For [`RejectionKind::Request`], it names the
    /// mistake.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Sets the status and the header fields of the refusal on a response, and puts the refusal into its extensions.
    ///
    /// The layers do this; a handler that makes the body of a refusal itself does it too.
    #[must_use]
    pub fn apply_to<B>(self, response: Response<B>) -> Response<B> {
        let status = self.status();
        self.apply_with(status, response)
    }

    /// Does the same with a status that the protocol of the response prescribes.
    pub(crate) fn apply_with<B>(self, status: StatusCode, mut response: Response<B>) -> Response<B> {
        match self.explanation() {
            None => log::debug!(code = %self.code(), reason = %self.reason(), "request refused"),
            Some(text) => {
                log::debug!(code = %self.code(), reason = %self.reason(), explanation = %text, "request refused");
            }
        }
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
        if let Some(wait) = self.0.retry_after {
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
            headers.insert(header::RETRY_AFTER, seconds.max(1).into());
        }
        for (name, value) in &self.0.fields {
            headers.append(name, value.clone());
        }
        if self.is_challenged() {
            self.write_challenges(headers);
        }
        response.extensions_mut().extend(self.0.extensions.clone());
        response.extensions_mut().insert(self);
        response
    }

    fn write_challenges(&self, headers: &mut HeaderMap) {
        // RFC 6750 §3.1: no error code where no credential was sent.
        let error = (self.kind() != RejectionKind::Missing).then(|| self.challenge_error());
        let (challenges, presented) = match &self.0.challenges {
            Some((challenges, presented)) => (&**challenges, *presented),
            None => (Challenges::fallback(), Presented::Any),
        };
        let (scope, presented) = match self.kind() {
            RejectionKind::Forbidden | RejectionKind::StepUp => (self.needed(), presented),
            // What is malformed may have been meant for any scheme.
            RejectionKind::Malformed => (None, Presented::Any),
            _ => (challenges.scope(), presented),
        };
        challenges.write(error, scope, presented, headers);
    }

    /// Returns whether another credential, or another authentication, would help.
    fn is_challenged(&self) -> bool {
        match self.kind() {
            RejectionKind::Forbidden => self.0.needed.is_some(),
            RejectionKind::BodyInvalid
            | RejectionKind::BodyTimeout
            | RejectionKind::BodyTooLarge
            | RejectionKind::Internal
            | RejectionKind::Request
            | RejectionKind::Throttled
            | RejectionKind::Unavailable => false,
            RejectionKind::Invalid
            | RejectionKind::InvalidProof
            | RejectionKind::Malformed
            | RejectionKind::Missing
            | RejectionKind::NonceRequired
            | RejectionKind::StepUp => true,
        }
    }

    fn challenge_error(&self) -> ChallengeError<'_> {
        let mut error = ChallengeError::new(self.code(), self.detail());
        error.needed = self.needed();
        error.parameters = &self.0.parameters;
        error
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.status().as_u16(), self.code(), self.reason())
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause().map(|cause| cause as _)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, reason, code, cause, explanation, needed, retry_after, violated, .. } = &*self.0;
        f.debug_struct("Rejection")
            .field("kind", kind)
            .field("reason", reason)
            .field("code", code)
            .field("explanation", explanation)
            .field("needed", needed)
            .field("violated", violated)
            .field("retry_after", retry_after)
            .field("cause", cause)
            .finish_non_exhaustive()
    }
}
