//! The state of the grant, and its place in the issuer.

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use serde_json::Value;
use tower_warden::ConfigError;

use super::{AutoConsent, access, authorize, codes::Codes, consent::Reach, redirect::is_loopback};
use crate::{endpoint::response::empty, issuer::Inner};

/// What an issuer with [`AutoConsent`] has in addition.
pub(crate) struct Development {
    pub(super) codes: Codes,
    pub(super) consent: AutoConsent,
}

/// An endpoint that is for development.
#[derive(Clone, Copy)]
pub(in crate::endpoint) struct Endpoint<'a> {
    development: &'a Development,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Authorize,
}

impl Development {
    pub(crate) fn new(consent: AutoConsent, issuer: &str) -> Result<Self, ConfigError> {
        if consent.reach == Reach::Loopback && !is_loopback(issuer) {
            let message = "an issuer with `AutoConsent` grants tokens to everyone who reaches it, so its host is 127.0.0.1, \
                           [::1] or localhost; `AutoConsent::danger_beyond_loopback` accepts others";
            return Err(ConfigError::custom(message).value(issuer));
        }
        tracing::warn!(issuer, "authorization codes are issued without asking anyone: this is for development only");
        Ok(Self { codes: Codes::default(), consent })
    }

    /// The paths of its endpoints, after that of the identifier.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &'static str> {
        [AUTHORIZE].into_iter()
    }

    /// The endpoint at a path.
    pub(in crate::endpoint) fn endpoint(&self, path: &str) -> Option<Endpoint<'_>> {
        let kind = match path {
            AUTHORIZE => Kind::Authorize,
            _ => return None,
        };
        Some(Endpoint { development: self, kind })
    }

    /// Adds what it implements to the metadata of the issuer, RFC 8414 §2.
    pub(crate) fn describe(&self, issuer: &str, metadata: &mut Value) {
        metadata["authorization_endpoint"] = format!("{issuer}{AUTHORIZE}").into();
        // RFC 9207 §3.
        metadata["authorization_response_iss_parameter_supported"] = true.into();
        metadata["code_challenge_methods_supported"] = ["S256"].into();
        metadata["response_modes_supported"] = ["query"].into();
        metadata["response_types_supported"] = ["code"].into();
        for methods in ["revocation_endpoint_auth_methods_supported", "token_endpoint_auth_methods_supported"] {
            if let Some(Value::Array(methods)) = metadata.get_mut(methods) {
                methods.push("none".into());
            }
        }
    }
}

/// Responds at an endpoint that is for development.
pub(in crate::endpoint) async fn respond<B: From<Bytes>>(
    issuer: &Inner,
    endpoint: Endpoint<'_>,
    head: &Parts,
) -> Response<B> {
    let Endpoint { development, kind } = endpoint;
    let (method, allow) = match kind {
        Kind::Authorize => (Method::GET, "GET"),
    };
    if head.method != method {
        return empty(StatusCode::METHOD_NOT_ALLOWED, allow);
    }
    if development.consent.reach == Reach::Loopback
        && let Err(error) = access::check(head)
    {
        return error.into_response();
    }
    match kind {
        Kind::Authorize => authorize::respond(issuer, development, head).await,
    }
}

const AUTHORIZE: &str = "/oauth/authorize";
