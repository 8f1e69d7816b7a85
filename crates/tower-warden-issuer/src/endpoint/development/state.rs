//! The state of the grant, and its place in the issuer.

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use http_body::Body;
use serde_json::Value;
use tower_warden::{Clock, ConfigError};

use super::{
    AutoConsent, access, authorize,
    clients::{FoundClients, Places, RegisteredClients},
    codes::Codes,
    consent::Reach,
    redirect::is_loopback,
    registration::{self, Registrations},
};
use crate::{
    ClientStore,
    endpoint::{
        error::OAuthError,
        response::{empty, not_stored},
        service::read_body,
    },
    issuer::Inner,
};

/// The part of an issuer that [`AutoConsent`] adds.
pub(crate) struct Development {
    pub(super) codes: Codes,
    pub(super) consent: AutoConsent,
    registrations: Option<Arc<Registrations>>,
}

/// An endpoint that is for development.
#[derive(Clone, Copy)]
pub(in crate::endpoint) struct Endpoint<'a> {
    development: &'a Development,
    kind: Kind<'a>,
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    Authorize,
    Register(&'a Registrations),
}

impl Development {
    pub(crate) fn new(consent: AutoConsent, issuer: &str) -> Result<Self, ConfigError> {
        if consent.reach == Reach::Loopback && !is_loopback(issuer) {
            let message = "an issuer with `AutoConsent` grants tokens to everyone who reaches it, so its host is \
                           127.0.0.1, [::1] or localhost; `AutoConsent::danger_beyond_loopback` accepts others";
            return Err(ConfigError::custom(message).value(issuer));
        }
        tracing::warn!(issuer, "authorization codes are issued without asking anyone: this is for development only");
        let registrations = consent.registration.clone().map(|profile| Arc::new(Registrations::new(profile)));
        Ok(Self { codes: Codes::default(), consent, registrations })
    }

    /// The clients of the application, and those that have registered themselves.
    pub(crate) fn registered(&self, application: Arc<dyn ClientStore>) -> Arc<dyn ClientStore> {
        match self.registrations.clone() {
            Some(registrations) => Arc::new(RegisteredClients { application, registrations }),
            None => application,
        }
    }

    /// The registered clients, and those that have a document.
    pub(crate) fn clients(
        &self,
        registered: Arc<dyn ClientStore>,
        clock: Arc<dyn Clock>,
        issuer: &str,
    ) -> Arc<dyn ClientStore> {
        let Some(documents) = self.consent.documents.clone() else { return registered };
        // Otherwise, whoever reaches the issuer would have it fetch from its own machine.
        let is_of_this_machine = is_loopback(issuer) && self.consent.reach == Reach::Loopback;
        let places = if is_of_this_machine { Places::WithLoopback } else { Places::Remote };
        Arc::new(FoundClients { clock, documents, places, registered })
    }

    /// The paths of its endpoints, after that of the identifier.
    #[cfg_attr(not(feature = "axum"), expect(dead_code, reason = "only a router needs them as a list"))]
    pub(crate) fn paths(&self) -> impl Iterator<Item = &'static str> {
        [AUTHORIZE].into_iter().chain(self.registrations.as_ref().map(|_| REGISTER))
    }

    /// The endpoint at a path.
    pub(in crate::endpoint) fn endpoint(&self, path: &str) -> Option<Endpoint<'_>> {
        let kind = match path {
            AUTHORIZE => Kind::Authorize,
            REGISTER => Kind::Register(self.registrations.as_deref()?),
            _ => return None,
        };
        Some(Endpoint { development: self, kind })
    }

    /// Adds what it implements to the metadata of the issuer, RFC 8414 §2.
    pub(crate) fn describe(&self, issuer: &str, metadata: &mut Value) {
        metadata["authorization_endpoint"] = format!("{issuer}{AUTHORIZE}").into();
        // RFC 9207 §3.
        metadata["authorization_response_iss_parameter_supported"] = true.into();
        if self.consent.documents.is_some() {
            metadata["client_id_metadata_document_supported"] = true.into();
        }
        metadata["code_challenge_methods_supported"] = ["S256"].into();
        if self.registrations.is_some() {
            metadata["registration_endpoint"] = format!("{issuer}{REGISTER}").into();
        }
        metadata["response_modes_supported"] = ["query"].into();
        metadata["response_types_supported"] = ["code"].into();
        for methods in ["revocation_endpoint_auth_methods_supported", "token_endpoint_auth_methods_supported"] {
            if let Some(Value::Array(methods)) = metadata.get_mut(methods) {
                methods.push("none".into());
            }
        }
    }
}

/// Checks a request at another endpoint. Codes are exchanged on this machine as well; and with client documents, each
/// request may name a URL that is fetched, also one of this machine.
pub(in crate::endpoint) fn check(issuer: &Inner, head: &Parts) -> Result<(), OAuthError> {
    match &issuer.development {
        Some(Development { consent, .. }) if consent.reach == Reach::Loopback => access::check(head),
        _ => Ok(()),
    }
}

/// Responds at an endpoint that is for development.
pub(in crate::endpoint) async fn respond<B, ReqBody>(
    issuer: &Inner,
    endpoint: Endpoint<'_>,
    head: &Parts,
    body: ReqBody,
) -> Response<B>
where
    B: From<Bytes>,
    ReqBody: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let Endpoint { development, kind } = endpoint;
    let (method, allow) = match kind {
        Kind::Authorize => (Method::GET, "GET"),
        Kind::Register(_) => (Method::POST, "POST"),
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
        Kind::Register(registrations) => match register(issuer, registrations, head, body).await {
            Ok(client) => not_stored(StatusCode::CREATED, &client),
            Err(error) => error.into_response(),
        },
    }
}

async fn register<ReqBody>(
    issuer: &Inner,
    registrations: &Registrations,
    head: &Parts,
    body: ReqBody,
) -> Result<Value, OAuthError>
where
    ReqBody: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    registration::check_type(head)?;
    let body = read_body(body, registration::MAX_BYTES).await?;
    registration::respond(issuer, registrations, &body)
}

const AUTHORIZE: &str = "/oauth/authorize";

const REGISTER: &str = "/oauth/register";
