//! The errors of RFC 6749 §5.2.

use std::{fmt, time::Duration};

use http::StatusCode;
use tower_warden::{Reason, Rejection, RejectionKind, Unavailable};

/// An error response. Its texts are fixed: nothing of the request is in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OAuthError {
    pub(crate) code: &'static str,
    pub(crate) description: &'static str,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) status: StatusCode,
}

impl OAuthError {
    const fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description, retry_after: None, status: StatusCode::BAD_REQUEST }
    }

    /// RFC 6749 §5.2: 401, one text for all reasons.
    pub(crate) const fn invalid_client() -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new("invalid_client", "The client authentication failed.") }
    }

    /// RFC 9449 §5.
    pub(crate) const fn invalid_dpop_proof() -> Self {
        Self::new("invalid_dpop_proof", "The DPoP proof is missing or invalid.")
    }

    /// RFC 8693 §2.2.2: one text for all reasons.
    pub(crate) const fn invalid_actor_token() -> Self {
        Self::new("invalid_request", "The actor token is invalid, expired or revoked, or not one of the client itself.")
    }

    /// RFC 7523 §3.1: one text for all reasons.
    pub(crate) const fn invalid_assertion() -> Self {
        let text = "The assertion is invalid, expired, used or revoked, or not one that the client may use.";
        Self::new("invalid_grant", text)
    }

    /// One text for all reasons.
    pub(crate) const fn invalid_grant() -> Self {
        Self::new("invalid_grant", "The grant is invalid, expired, used or revoked, or of another client.")
    }

    pub(crate) const fn invalid_request(description: &'static str) -> Self {
        Self::new("invalid_request", description)
    }

    pub(crate) const fn invalid_scope() -> Self {
        Self::new("invalid_scope", "The scope is malformed, or contains none that the client may have.")
    }

    /// RFC 8693 §2.2.2: one text for all reasons.
    pub(crate) const fn invalid_subject_token() -> Self {
        let text = "The subject token is invalid, expired or revoked, or not one that the client may exchange.";
        Self::new("invalid_request", text)
    }

    /// RFC 8707 §2.
    pub(crate) const fn invalid_target() -> Self {
        Self::new("invalid_target", "The resource is malformed, or not one that the client may request tokens for.")
    }

    /// 429: RFC 6749 §5.2 has no code for it.
    pub(crate) const fn throttled(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            status: StatusCode::TOO_MANY_REQUESTS,
            ..Self::new(
                "temporarily_unavailable",
                "Too many assertions of this client or subject, or proofs of this key, are used at the moment.",
            )
        }
    }

    pub(crate) const fn unauthorized_client() -> Self {
        Self::new("unauthorized_client", "The client may not use this grant.")
    }

    pub(crate) const fn unsupported_grant_type() -> Self {
        Self::new("unsupported_grant_type", "The grant type is not supported.")
    }

    /// RFC 9449 §8.
    pub(crate) const fn use_dpop_nonce() -> Self {
        Self::new("use_dpop_nonce", "The DPoP proof needs the nonce of this response.")
    }

    /// 503: RFC 6749 §5.2 has no code for it; this is the one of §4.1.2.1.
    pub(crate) const fn unavailable(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            status: StatusCode::SERVICE_UNAVAILABLE,
            ..Self::new("temporarily_unavailable", "The server cannot issue tokens at the moment.")
        }
    }
}

impl OAuthError {
    /// The refusal, as layers outside read it from the extensions of the response: those that audit, and that limit failures.
    pub(super) fn rejection(&self) -> Rejection {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => RejectionKind::Invalid,
            StatusCode::FORBIDDEN => RejectionKind::Forbidden,
            StatusCode::TOO_MANY_REQUESTS => RejectionKind::Throttled,
            StatusCode::SERVICE_UNAVAILABLE => RejectionKind::Unavailable,
            _ if self.code == "invalid_grant" => RejectionKind::Invalid,
            _ if self.code == "use_dpop_nonce" => RejectionKind::NonceRequired,
            _ if self.code == "invalid_dpop_proof" => RejectionKind::InvalidProof,
            _ => RejectionKind::Request,
        };
        Rejection::new(kind, Reason::custom(self.code))
    }
}

impl From<Unavailable> for OAuthError {
    fn from(error: Unavailable) -> Self {
        tracing::warn!(error = %Causes(&error), "no token was issued, because a dependency does not respond");
        Self::unavailable(Duration::from_secs(1))
    }
}

/// An error and its sources.
struct Causes<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
