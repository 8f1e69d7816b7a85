//! The client of a request.

use std::sync::Arc;

use http::request::Parts;
use tower_warden::{Identity, UnixTime, caller::Confirmation, replay::UsedProof};
use zeroize::Zeroizing;

use super::{
    certificate::accepts_certificate,
    credential::{ClientCredential, Proof},
};
use crate::{
    Client,
    endpoint::{OAuthError, audited::Notes, binding::is_proved, form::Form},
    issuer::Inner,
};

/// A client that has authenticated.
pub(in crate::endpoint) struct AuthenticatedClient {
    /// The assertion, which is not recorded as used yet.
    assertion: Option<UsedProof>,
    pub(in crate::endpoint) client: Arc<Client>,
    /// The API key that is its secret.
    pub(in crate::endpoint) key: Option<Arc<Identity>>,
}

/// Authenticates the client of a request: a registered one.
pub(in crate::endpoint) async fn authenticate(
    issuer: &Inner,
    head: &Parts,
    form: &Form,
    now: UnixTime,
) -> Result<Arc<Client>, OAuthError> {
    let credential = ClientCredential::read(issuer, head, form)?;
    let registered = issuer.clients.find(&credential.client_id).wait().await?;
    let authenticated = verify(issuer, registered, &credential, now).await?;
    authenticated.use_once(issuer).await?;
    Notes::of(&head.extensions).client(authenticated.client.id());
    Ok(authenticated.client)
}

/// Authenticates the client of a request for a token: a registered one, or the owner of an API key. The caller has the
/// assertion [recorded](AuthenticatedClient::use_once) when everything else about the request is valid.
pub(in crate::endpoint) async fn authenticate_for_token(
    issuer: &Inner,
    head: &Parts,
    form: &Form,
    now: UnixTime,
) -> Result<AuthenticatedClient, OAuthError> {
    verify_any(issuer, &ClientCredential::read(issuer, head, form)?, now).await
}

/// Authenticates an agent, or the owner of an API key, by a secret in JSON.
pub(in crate::endpoint) async fn authenticate_agent(
    issuer: &Inner,
    client_id: String,
    secret: Zeroizing<String>,
    now: UnixTime,
) -> Result<AuthenticatedClient, OAuthError> {
    verify_any(issuer, &ClientCredential { client_id, proof: Proof::Agent(secret) }, now).await
}

async fn verify_any(
    issuer: &Inner,
    credential: &ClientCredential,
    now: UnixTime,
) -> Result<AuthenticatedClient, OAuthError> {
    let registered = issuer.clients.find(&credential.client_id).wait().await?;
    // Also for the id of a registered client: the response, and the time until it, do not show which ids are
    // registered.
    let owner = issuer.key_owner(credential, now).await?;
    // The id of a registered client is never that of an owner: the two could use each other's tokens.
    match owner.filter(|_| registered.is_none()) {
        Some(owner) => Ok(owner),
        None => verify(issuer, registered, credential, now).await,
    }
}

async fn verify(
    issuer: &Inner,
    registered: Option<Arc<Client>>,
    credential: &ClientCredential,
    now: UnixTime,
) -> Result<AuthenticatedClient, OAuthError> {
    let client = registered.as_deref();
    let mut assertion = None;
    let is_valid = match &credential.proof {
        Proof::Assertion(text) => {
            assertion = issuer.client_assertion(client, &credential.client_id, text, now).await?;
            assertion.is_some()
        }
        Proof::Certificate(certificate) => accepts_certificate(client, certificate, now),
        Proof::Agent(secret) | Proof::SecretBasic(secret) | Proof::SecretPost(secret) => {
            issuer.accepts_secret(client, &credential.proof, secret, now)
        }
    };
    let client = registered.filter(|_| is_valid).ok_or(OAuthError::invalid_client())?;
    Ok(AuthenticatedClient { assertion, client, key: None })
}

impl AuthenticatedClient {
    /// A client that has no credential.
    pub(in crate::endpoint) const fn public(client: Arc<Client>) -> Self {
        Self { assertion: None, client, key: None }
    }

    /// The owner of an API key.
    pub(super) fn owner(client: Client, key: Arc<Identity>) -> Self {
        Self { assertion: None, client: Arc::new(client), key: Some(key) }
    }

    /// Records the assertion, which is accepted once.
    pub(in crate::endpoint) async fn use_once(&self, issuer: &Inner) -> Result<(), OAuthError> {
        match &self.assertion {
            Some(assertion) if !issuer.use_once(assertion).await? => Err(OAuthError::invalid_client()),
            _ => Ok(()),
        }
    }

    /// Checks that the sender has proved what its API key is bound to.
    pub(in crate::endpoint) fn check_binding(&self, proved: Option<&Confirmation>) -> Result<(), OAuthError> {
        let bound = self.key.as_ref().and_then(|key| key.confirmation.as_ref());
        if bound.is_none_or(|bound| is_proved(bound, proved)) { Ok(()) } else { Err(OAuthError::invalid_client()) }
    }
}
