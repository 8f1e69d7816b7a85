//! Dynamic registration of clients, RFC 7591.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use http::request::Parts;
use serde_json::{Value, json};
use tower_warden::Unavailable;

use super::{
    AutoConsent, ClientProfile,
    client_metadata::{ClientMetadata, invalid, media_type},
};
use crate::{
    Client, ClientAuthentication, ClientSecrets, endpoint::error::OAuthError, issuer::Inner, refresh::random,
    signing::encode,
};

/// The clients that have registered themselves, in memory.
pub(super) struct Registrations {
    clients: RwLock<HashMap<Box<str>, Arc<Client>>>,
    profile: ClientProfile,
}

impl AutoConsent {
    /// Supports dynamic registration ([RFC 7591](https://www.rfc-editor.org/rfc/rfc7591)) of clients with this profile,
    /// at `/oauth/register`.
    ///
    /// Anyone on the machine may register. A client is public, or gets a secret. Clients are kept in the process, 1 000
    /// at most: then the endpoint responds with 503.
    pub fn registration(mut self, profile: ClientProfile) -> Self {
        self.registration = Some(profile);
        self
    }
}

impl Registrations {
    pub(super) fn new(profile: ClientProfile) -> Self {
        Self { clients: RwLock::default(), profile }
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Client>> {
        self.clients.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn insert(&self, client: Client) -> Result<(), Unavailable> {
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MAX_CLIENTS {
            return Err(Unavailable::new("the store of registered clients, which is full,"));
        }
        clients.insert(client.id().into(), Arc::new(client));
        Ok(())
    }
}

/// Checks that a request is one to register: a page of another site can send forms and text without being asked for its
/// origin, but no JSON.
pub(super) fn check_type(head: &Parts) -> Result<(), OAuthError> {
    let is_json = media_type(&head.headers) == "application/json";
    if is_json { Ok(()) } else { Err(invalid("The body is not application/json.")) }
}

/// Registers a client; returns the response of RFC 7591 §3.2.1.
pub(super) fn respond(issuer: &Inner, registrations: &Registrations, body: &[u8]) -> Result<Value, OAuthError> {
    let metadata = ClientMetadata::parse(body)?;
    let profile = &registrations.profile;
    let grants = metadata.grants(issuer.refresh.is_some())?;
    // No URL, so that it is not one of a metadata document.
    let id = format!("dc-{}", encode(&random::<16>()?));
    let client = profile.client(&id, &grants).map_err(|_| invalid("The client is invalid."))?;
    let mut client = metadata.add_redirect_uris(client)?;
    // RFC 7591 §2.
    let method = metadata.token_endpoint_auth_method.as_deref().unwrap_or("client_secret_basic");
    let mut response = json!({
        "client_id": id,
        "client_id_issued_at": issuer.clock.now().as_secs(),
        "grant_types": grants.iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "redirect_uris": metadata.redirect_uris,
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
    });
    let with_secret: fn(ClientSecrets) -> ClientAuthentication = match method {
        "client_secret_basic" => ClientAuthentication::SecretBasic,
        "client_secret_post" => ClientAuthentication::SecretPost,
        "none" => {
            registrations.insert(client.public())?;
            return Ok(described(response, &metadata, profile));
        }
        _ => return Err(invalid("The method of authentication is none, client_secret_basic or client_secret_post.")),
    };
    let (secret, digest) = issuer.generate_secret().map_err(|_| Unavailable::new("the system's random generator"))?;
    client = client.authentication(with_secret(ClientSecrets::new(digest)));
    registrations.insert(client)?;
    response["client_secret"] = secret.expose().into();
    // RFC 7591 §3.2.1: it does not expire.
    response["client_secret_expires_at"] = 0.into();
    Ok(described(response, &metadata, profile))
}

/// Adds the members that may be empty.
fn described(mut response: Value, metadata: &ClientMetadata, profile: &ClientProfile) -> Value {
    if let Some(name) = &metadata.client_name {
        response["client_name"] = (**name).into();
    }
    if !profile.allowed_scopes().is_empty() {
        response["scope"] = profile.allowed_scopes().to_string().into();
    }
    response
}

const MAX_CLIENTS: usize = 1000;

/// The longest request that is read, in bytes.
pub(super) const MAX_BYTES: usize = 16 * 1024;
