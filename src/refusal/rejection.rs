//! A request that was refused: what the client is told, and why.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{authorize::StepUp, log, scheme::Challenge, scope::Scopes};

/// How long a client is asked to wait for a backend that is down.
const OUTAGE: Duration = Duration::from_secs(5);

/// RFC 9449 §8.1.
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A request that was refused.
///
/// It speaks to two audiences. The client sees the status, the challenge and a fixed text, all of which follow from the
/// [kind](RejectionKind). The operator sees the [reason](Self::reason) too: it rides in the extensions of the
/// response, and is a fixed text, so that nothing secret can be in it.
///
/// ```
/// use tower_warden::{Rejection, RejectionKind};
///
/// let rejection = Rejection::new(RejectionKind::Invalid, "key_revoked");
/// assert_eq!(rejection.status(), 401);
/// assert_eq!(rejection.code(), "invalid_token");
/// assert_eq!(rejection.reason(), "key_revoked");
/// ```
#[derive(Clone, Debug)]
pub struct Rejection {
    kind: RejectionKind,
    reason: &'static str,
    needed: Option<Scopes>,
    retry_after: Option<Duration>,
    step_up: Option<Arc<StepUp>>,
    challenge: Option<Arc<Challenge>>,
    nonce: Option<HeaderValue>,
    excess: Option<Box<Excess>>,
    body: Body,
}

/// What a caller has had too much of.
#[derive(Clone, Debug, Default)]
struct Excess {
    violated: Vec<Box<str>>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

/// Who makes the body of the response.
#[derive(Clone, Copy, Debug)]
enum Body {
    /// Whoever refuses.
    Final,
    /// A layer further out, which knows how.
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "only extractors leave it to others"))]
    Provisional,
}

/// How a request was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RejectionKind {
    /// 403: the caller is known, and may not do this.
    Forbidden,
    /// 500: the server is put together wrongly, or a part of it panicked.
    Internal,
    /// 401 `invalid_token`: the credential is unknown, expired, revoked, or not this caller's.
    Invalid,
    /// 401 `invalid_dpop_proof`: the proof that the sender holds the token's key is missing, or no good (RFC 9449 §7.1).
    InvalidProof,
    /// 400 `invalid_request`: the credential is malformed, or there is more than one.
    Malformed,
    /// 401 without an error code: no credential, or none of a kind that is understood.
    Missing,
    /// 401 `use_dpop_nonce`: the proof needs the nonce that the answer brings (RFC 9449 §9).
    NonceRequired,
    /// 401 `insufficient_user_authentication`: the credential is good, and the user must authenticate anew, RFC 9470.
    StepUp,
    /// 429 `quota_exceeded`: the caller has used up what it may use for now.
    Throttled,
    /// 503: what the decision depends on did not answer.
    Unavailable,
}

impl Rejection {
    /// Refuses; `reason` is for logs and audit, a stable text such as `key_revoked`.
    #[must_use]
    pub fn new(kind: RejectionKind, reason: &'static str) -> Self {
        let retry_after = (kind == RejectionKind::Unavailable).then_some(OUTAGE);
        Self {
            kind,
            reason,
            needed: None,
            retry_after,
            step_up: None,
            challenge: None,
            nonce: None,
            excess: None,
            body: Body::Final,
        }
    }

    /// Refuses a caller who lacks scopes: 403 `insufficient_scope`, which names all that are needed.
    #[must_use]
    pub fn insufficient_scope(needed: Scopes) -> Self {
        let needed = Some(needed).filter(|needed| !needed.is_empty());
        Self { needed, ..Self::new(RejectionKind::Forbidden, "insufficient_scope") }
    }

    /// Refuses a caller whose user must authenticate anew: 401 `insufficient_user_authentication`, RFC 9470.
    #[must_use]
    pub(crate) fn insufficient_authentication(needed: StepUp, reason: &'static str) -> Self {
        Self { step_up: Some(Arc::new(needed)), ..Self::new(RejectionKind::StepUp, reason) }
    }

    /// Refuses a caller who has used up quotas: 429 `quota_exceeded`, which names those quotas.
    #[must_use]
    pub fn quota_exceeded(
        reason: &'static str,
        wait: Duration,
        violated: impl IntoIterator<Item = impl Into<Box<str>>>,
    ) -> Self {
        let violated = violated.into_iter().map(Into::into).collect();
        let excess = Some(Box::new(Excess { violated, fields: Vec::new() }));
        Self { excess, ..Self::new(RejectionKind::Throttled, reason).retry_after(wait) }
    }

    /// When the client may come back; told in whole seconds, rounded up, at least one.
    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What the `WWW-Authenticate` field names. The layers set it.
    #[must_use]
    pub(crate) fn challenge(mut self, challenge: &Arc<Challenge>) -> Self {
        self.challenge = Some(Arc::clone(challenge));
        self
    }

    /// Fields that the response gets besides. The layers set them.
    #[cfg(feature = "rate-limit")]
    #[must_use]
    pub(crate) fn fields(mut self, fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        self.excess.get_or_insert_default().fields = fields;
        self
    }

    /// What the next proof must contain, RFC 9449 §9.
    #[cfg(feature = "dpop")]
    #[must_use]
    pub(crate) fn nonce(mut self, nonce: HeaderValue) -> Self {
        self.nonce = Some(nonce);
        self
    }

    /// Lets a layer further out make the body: an extractor does not know what the layer was told.
    #[cfg(feature = "axum")]
    #[must_use]
    pub(crate) const fn provisional(mut self) -> Self {
        self.body = Body::Provisional;
        self
    }

    /// Whether a layer further out makes the body.
    pub(crate) const fn is_provisional(&self) -> bool {
        matches!(self.body, Body::Provisional)
    }

    /// How the request was refused.
    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Why, for logs and audit; never told to the client.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }

    /// The scopes that the operation needs, where the caller lacks some.
    #[must_use]
    pub const fn needed(&self) -> Option<&Scopes> {
        self.needed.as_ref()
    }

    /// How the user must authenticate anew.
    pub(crate) fn step_up(&self) -> Option<&StepUp> {
        self.step_up.as_deref()
    }

    /// The names of the quotas that the caller has used up.
    #[must_use]
    pub fn violated(&self) -> &[Box<str>] {
        self.excess.as_ref().map_or(&[], |excess| &excess.violated)
    }

    /// The status of the response.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self.kind {
            RejectionKind::Forbidden => StatusCode::FORBIDDEN,
            RejectionKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            RejectionKind::Invalid
            | RejectionKind::InvalidProof
            | RejectionKind::Missing
            | RejectionKind::NonceRequired
            | RejectionKind::StepUp => StatusCode::UNAUTHORIZED,
            RejectionKind::Malformed => StatusCode::BAD_REQUEST,
            RejectionKind::Throttled => StatusCode::TOO_MANY_REQUESTS,
            RejectionKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A stable word for programs: the error code of RFC 6750 §3.1 or RFC 9470 §3 where there is one.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            RejectionKind::Forbidden if self.needed.is_some() => "insufficient_scope",
            RejectionKind::Forbidden => "access_denied",
            RejectionKind::Internal => "server_error",
            RejectionKind::Invalid => "invalid_token",
            RejectionKind::InvalidProof => "invalid_dpop_proof",
            RejectionKind::Malformed => "invalid_request",
            RejectionKind::Missing => "credential_required",
            RejectionKind::NonceRequired => "use_dpop_nonce",
            RejectionKind::StepUp => "insufficient_user_authentication",
            RejectionKind::Throttled => "quota_exceeded",
            RejectionKind::Unavailable => "temporarily_unavailable",
        }
    }

    /// A fixed sentence for people, the same for every refusal with this code.
    #[must_use]
    pub const fn detail(&self) -> &'static str {
        match self.kind {
            RejectionKind::Forbidden if self.needed.is_some() => {
                "The credential lacks a scope that the operation needs."
            }
            RejectionKind::Forbidden => "The operation is not allowed.",
            RejectionKind::Internal => "The server failed.",
            RejectionKind::Invalid => "The credential is invalid, expired or revoked.",
            RejectionKind::InvalidProof => "A proof that the sender holds the token's key is missing, or no good.",
            RejectionKind::Malformed => "The credential is malformed, or there is more than one.",
            RejectionKind::Missing => "A credential is required.",
            RejectionKind::NonceRequired => "The proof needs the nonce of this answer.",
            RejectionKind::StepUp => "A stronger or more recent authentication of the user is required.",
            RejectionKind::Throttled => "Too many requests: try again when Retry-After says.",
            RejectionKind::Unavailable => "Try again later.",
        }
    }

    /// Gives a response the status and the fields that the refusal demands, whatever made its body, and leaves itself in
    /// the extensions. The layers do it; a handler that answers refusals in its own way does too.
    #[must_use]
    pub fn seal<B>(self, mut response: Response<B>) -> Response<B> {
        log::debug!(code = %self.code(), reason = %self.reason, "request refused");
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
            headers.insert(header::RETRY_AFTER, seconds.max(1).into());
        }
        for (name, value) in self.excess.iter().flat_map(|excess| &excess.fields) {
            headers.append(name, value.clone());
        }
        if let Some(nonce) = &self.nonce {
            headers.insert(DPOP_NONCE, nonce.clone());
        }
        match &self.challenge {
            Some(challenge) => challenge.write(&self, headers),
            None => Challenge::default().write(&self, headers),
        }
        response.extensions_mut().insert(self);
        response
    }
}
