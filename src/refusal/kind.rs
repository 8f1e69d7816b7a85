use http::StatusCode;

/// The kind of a refusal, which determines its status, its code and its challenges.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RejectionKind {
    /// 400 `invalid_content`: the body of the request broke off, or a check does not accept it.
    BodyInvalid,
    /// 408 `request_timeout`: the body of the request did not arrive in time.
    BodyTimeout,
    /// 413 `content_too_large`: the body of the request is larger than the limit.
    BodyTooLarge,
    /// 403: the caller is known, and may not do this.
    Forbidden,
    /// 500: the server is configured wrongly, or a part of it panicked.
    Internal,
    /// 401 `invalid_token`: the credential is unknown, expired, revoked, bound to another sender, or malformed in a way that only
    /// its authenticator detects.
    Invalid,
    /// 401: the proof that the sender possesses the credential's key is missing or invalid.
    InvalidProof,
    /// 400 `invalid_request`: the value of the credential is not well-formed for its scheme, or there is more than one.
    Malformed,
    /// 401 without an error code: no credential, or none of a configured scheme.
    Missing,
    /// 401: the proof needs the nonce of this response.
    NonceRequired,
    /// 400, 404, 409, 413, 415 or 422: a request to a route of this crate, such as those that manage keys, has a mistake.
    Request,
    /// 401 `insufficient_user_authentication`: the credential is valid, and the user must authenticate again
    /// ([RFC 9470](https://www.rfc-editor.org/rfc/rfc9470)).
    StepUp,
    /// 429 `quota_exceeded`: the caller has exceeded a limit.
    Throttled,
    /// 503: a dependency of the decision did not answer.
    Unavailable,
}

impl RejectionKind {
    /// The status of the response.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BodyInvalid | Self::Malformed | Self::Request => StatusCode::BAD_REQUEST,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Invalid | Self::InvalidProof | Self::Missing | Self::NonceRequired | Self::StepUp => {
                StatusCode::UNAUTHORIZED
            }
            Self::Throttled => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The error code, and a fixed sentence for people.
    pub(super) const fn text(self) -> (&'static str, &'static str) {
        use crate::scheme::ChallengeError;
        match self {
            Self::BodyInvalid => ("invalid_content", "The content of the request is incomplete or not acceptable."),
            Self::BodyTimeout => ("request_timeout", "The content of the request did not arrive in time."),
            Self::BodyTooLarge => ("content_too_large", "The content of the request is too large."),
            Self::Forbidden => ("access_denied", "The operation is not allowed."),
            Self::Internal => ("server_error", "The server failed."),
            Self::Invalid => (ChallengeError::INVALID_TOKEN.code, ChallengeError::INVALID_TOKEN.description),
            Self::InvalidProof => {
                ("invalid_proof", "The proof that the sender holds the credential's key is missing or invalid.")
            }
            Self::Malformed => (ChallengeError::INVALID_REQUEST.code, ChallengeError::INVALID_REQUEST.description),
            Self::Missing => ("credential_required", "A credential is required."),
            Self::NonceRequired => ("use_nonce", "The proof needs the nonce of this response."),
            Self::Request => ("invalid_request", "The request has a mistake."),
            Self::StepUp => (
                "insufficient_user_authentication",
                "A stronger or more recent authentication of the user is required.",
            ),
            Self::Throttled => ("quota_exceeded", "Too many requests: try again when Retry-After says."),
            Self::Unavailable => ("temporarily_unavailable", "Try again later."),
        }
    }
}
