//! The status and the fields of a refusal's response.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{kind::RejectionKind, rejection::Rejection};
use crate::{
    log,
    scheme::{ChallengeError, Challenges, Presented},
};

impl Rejection {
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
        challenges.write(error, scope, presented, &self.0.fields, headers);
    }

    /// Returns whether another credential, or another authentication, would help.
    fn is_challenged(&self) -> bool {
        match self.kind() {
            RejectionKind::Forbidden => self.0.needed.is_some() || self.has_challenge_parameters(),
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
