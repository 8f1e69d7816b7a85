use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::{Extensions, HeaderName, HeaderValue, StatusCode};

use super::kind::RejectionKind;
use crate::{
    log,
    reason::Reason,
    scheme::{Challenges, Presented},
    scope::{Scope, Scopes},
};

/// The `Retry-After` of responses if a dependency is down.
const OUTAGE: Duration = Duration::from_secs(5);

/// The code of a refusal for abnormal usage.
pub(super) const ABNORMAL_USAGE: &str = "abnormal_usage_detected";

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
pub struct Rejection(pub(super) Box<Inner>);

#[derive(Clone)]
pub(super) struct Inner {
    kind: RejectionKind,
    reason: Reason,
    status: StatusCode,
    code: &'static str,
    detail: &'static str,
    cause: Option<Rejection>,
    explanation: Option<Box<str>>,
    pub(super) challenges: Option<(Arc<Challenges>, Presented)>,
    /// Values for the extensions of the response.
    pub(super) extensions: Extensions,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    body: Body,
    pub(super) needed: Option<Scopes>,
    pub(super) parameters: Vec<(&'static str, Box<str>)>,
    pub(super) retry_after: Option<Duration>,
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
            detail,
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

    /// Refuses a caller whose use of the service looks like abuse: 429 `abnormal_usage_detected`.
    #[must_use]
    pub fn abnormal_usage(reason: Reason, wait: Duration) -> Self {
        let detail = "Requests like these are not usual for the caller: try again when Retry-After says.";
        Self::new(RejectionKind::Throttled, reason).with_code(ABNORMAL_USAGE, detail).retry_after(wait)
    }

    /// Replaces the error code, and the fixed sentence for people, of the [kind](RejectionKind).
    #[must_use]
    pub fn with_code(mut self, code: &'static str, detail: &'static str) -> Self {
        (self.0.code, self.0.detail) = (code, detail);
        self
    }

    /// Responds as if there were no such resource: 404 `not_found`.
    #[must_use]
    pub(crate) fn hidden(self) -> Self {
        self.with_status(StatusCode::NOT_FOUND).with_code("not_found", "There is no such resource.")
    }

    /// Replaces the status of the [kind](RejectionKind).
    #[must_use]
    pub(crate) const fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// Describes a mistake in a request to a route of this crate.
    #[cfg(all(feature = "api-key", feature = "axum"))]
    pub(crate) const fn described(mut self, status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        (self.0.status, self.0.code, self.0.detail) = (status, code, detail);
        self
    }

    /// Sets when the client may try again. `Retry-After` has whole seconds, rounded up, at least one.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Adds a parameter to the challenge that reports the error, unless the challenge has one of this name.
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

    /// A value for the extensions of the response, of this refusal or of one that it has replaced.
    #[cfg(any(feature = "audit", feature = "mcp"))]
    pub(crate) fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.extensions.get().or_else(|| self.cause()?.extension())
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

    /// Returns whether the challenge names what would help, besides scopes.
    pub(crate) fn has_challenge_parameters(&self) -> bool {
        !self.0.parameters.is_empty()
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

    /// The fields that were added by [`response_field`](Self::response_field), such as the nonce for the next DPoP proof.
    #[must_use]
    pub fn response_fields(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.fields
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

    /// A fixed sentence for people, the same for every refusal with this code. For [`RejectionKind::Request`], one for each
    /// kind of mistake. It quotes nothing of the request.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.0.detail
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
