//! Error responses of the routes.

use axum::{
    extract::rejection::{JsonRejection, QueryRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};

use crate::{
    api_key::{KeyError, KeyErrorKind},
    caller::Principal,
    log::{self, Causes},
    reason::Reason,
    refusal::{Rejection, RejectionKind},
};

/// Creates a response that must not be cached.
pub(super) fn private(status: StatusCode, body: impl IntoResponse) -> Response {
    let no_store = const { HeaderValue::from_static("no-store") };
    (status, [(header::CACHE_CONTROL, no_store)], body).into_response()
}

/// An error of a route.
#[derive(Debug)]
pub(super) enum Failure {
    /// Key management failed.
    Key(KeyError),
    /// The caller may not do this.
    Refused(Rejection),
    /// The request is invalid: the status and a fixed text for the client.
    Request(StatusCode, &'static str),
}

impl Failure {
    /// A 403 without a challenge, since no other scope would help.
    pub(super) fn forbidden(caller: &Principal, reason: Reason) -> Self {
        let rejection = Rejection::new(RejectionKind::Forbidden, reason);
        // The caller knows its own tenant, scopes and tier, and named the others: the code reveals nothing.
        let rejection = match reason {
            Reason::SCOPE_NOT_HELD => {
                rejection.with_code(reason.as_str(), "The key has a scope that the caller does not hold.")
            }
            Reason::TENANT_MISMATCH => rejection.with_code(reason.as_str(), "The key is to belong to another tenant."),
            Reason::TIER_NOT_HELD => rejection.with_code(reason.as_str(), "The key is to have another tier."),
            _ => rejection,
        };
        Self::Refused(rejection.of_caller(caller))
    }

    /// Returns whether a change that failed may have been made.
    pub(super) fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::Key(error) if error.kind() == KeyErrorKind::Unavailable)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        // Not the text of the rejection, which quotes the request.
        let text = match &rejection {
            JsonRejection::JsonDataError(_) => {
                "a member of the body is missing, or not known, or its value is not accepted"
            }
            JsonRejection::JsonSyntaxError(_) => "the body is not JSON",
            JsonRejection::MissingJsonContentType(_) => "the media type of the body is not `application/json`",
            _ => "the body is incomplete or too large",
        };
        Self::Request(rejection.status(), text)
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::Request(rejection.status(), "a parameter of the query is not known, or its value is not accepted")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Key(error) if error.kind() == KeyErrorKind::Unavailable => {
                log::error!(error = %Causes(&error), "key management failed; the request is refused with 503");
                Rejection::new(RejectionKind::Unavailable, Reason::KEY_STORE_UNAVAILABLE).into_response()
            }
            Self::Key(error) => {
                if error.kind() == KeyErrorKind::Configuration {
                    log::error!(error = %Causes(&error), "key management failed; the request is refused with 500");
                }
                let (status, code) = match error.kind() {
                    KeyErrorKind::Active => (StatusCode::CONFLICT, "key_active"),
                    KeyErrorKind::Conflict => (StatusCode::CONFLICT, "conflict"),
                    KeyErrorKind::Inactive => (StatusCode::CONFLICT, "key_inactive"),
                    KeyErrorKind::Invalid => (StatusCode::BAD_REQUEST, "invalid_request"),
                    KeyErrorKind::NotFound => (StatusCode::NOT_FOUND, "key_not_found"),
                    KeyErrorKind::Configuration | KeyErrorKind::Unavailable => {
                        (StatusCode::INTERNAL_SERVER_ERROR, "server_error")
                    }
                };
                problem(status, code, error.kind().text())
            }
            Self::Refused(rejection) => rejection.into_response(),
            Self::Request(status, text) => problem(status, "invalid_request", text),
        }
    }
}

/// A refusal, so that the layer outside may make its body.
fn problem(status: StatusCode, code: &'static str, detail: &'static str) -> Response {
    let kind = if status.is_server_error() { RejectionKind::Internal } else { RejectionKind::Request };
    Rejection::new(kind, Reason::KEY_REQUEST_REFUSED).described(status, code, detail).into_response()
}
