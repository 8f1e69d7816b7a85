//! The grants of the kinds of a configuration.

use std::{path::Path, sync::Arc};

use tower_warden::{Clock, ConfigError, UnixTime, fetch::Fetch};

use super::{
    config::{Auth, Kind, Login, OAuth, ServiceConfig},
    error::CredentialsError,
    observed::Observed,
};
use crate::{
    ClientAuth, DpopKey, PrivateKeySource, TokenEndpoint,
    grant::{ClientCredentials, JsonLogin, RefreshGrant, TokenFile},
    secret::SecretSource,
    store::{FileTokenStore, MemoryTokenStore},
};

/// A secret of a service, and where it is sent.
pub(super) struct SecretUse {
    /// The server and the account. A secret is sent to one.
    pub(super) destination: Box<str>,
    /// The name of its declaration.
    pub(super) label: Box<str>,
    /// The member of the configuration that names it.
    pub(super) member: String,
    pub(super) name: Box<str>,
}

/// The secrets of a service.
pub(super) fn secrets(service: &str, config: &ServiceConfig) -> Vec<SecretUse> {
    let of = |member: String, name: &str, destination: String| SecretUse {
        destination: destination.into(),
        label: format!("{service}.{member}").into(),
        member,
        name: name.into(),
    };
    match &config.kind {
        Kind::ApiKey { name, .. } => {
            // The key of the service itself.
            vec![SecretUse { label: service.into(), ..of("key_name".to_owned(), name, format!("service {service}")) }]
        }
        Kind::ClientCredentials(oauth) | Kind::Refresh { oauth, .. } => {
            let destination = format!("client {} of {}", oauth.client_id, oauth.url);
            match &oauth.auth {
                Auth::Basic(name) | Auth::Post(name) => vec![of("secret_name".to_owned(), name, destination)],
                Auth::Mtls | Auth::None => Vec::new(),
                Auth::PrivateKeyJwt { name, .. } => vec![of("private_key_name".to_owned(), name, destination)],
            }
        }
        Kind::JsonLogin(login) => {
            let secrets = login
                .secrets
                .iter()
                .map(|(member, name)| of(format!("secret_names.{member}"), name, format!("login {}", login.url)));
            secrets.collect()
        }
        Kind::TokenFile { .. } => Vec::new(),
    }
}

/// Returns whether the client authenticates by a certificate.
pub(super) const fn needs_certificate(config: &ServiceConfig) -> bool {
    matches!(&config.kind, Kind::ClientCredentials(OAuth { auth: Auth::Mtls, .. }))
}

/// The file of a token or a refresh token, which is that of one service.
pub(super) fn file(config: &ServiceConfig) -> Option<&Path> {
    match &config.kind {
        Kind::ApiKey { .. } | Kind::ClientCredentials(_) => None,
        Kind::JsonLogin(login) => login.store.as_deref(),
        Kind::Refresh { store: file, .. } | Kind::TokenFile { path: file } => Some(file),
    }
}

/// Builds the grant of a service, which is not of the kind `api_key`.
pub(super) async fn grant(
    service: &str,
    config: &ServiceConfig,
    http: Arc<dyn Fetch>,
    secrets: &Arc<dyn SecretSource>,
    clock: Arc<dyn Clock>,
) -> Result<Observed, CredentialsError> {
    let refused = |error| CredentialsError::config(service, error);
    let now = clock.now();
    Ok(match &config.kind {
        Kind::ApiKey { .. } => {
            return Err(refused(ConfigError::custom("an API key is not obtained from a server")));
        }
        Kind::ClientCredentials(oauth) => {
            let endpoint = endpoint(service, oauth, http, secrets, now).await?;
            let mut grant = ClientCredentials::new(endpoint).scopes(config.scopes.clone());
            if let Some(audience) = &oauth.audience {
                grant = grant.audience(audience);
            }
            if let Some(resource) = &oauth.resource {
                grant = grant.resource(resource);
            }
            Observed::new(grant, clock)
        }
        Kind::JsonLogin(login) => json_login(login, http, secrets, clock).map_err(refused)?,
        Kind::Refresh { oauth, store } => {
            let endpoint = endpoint(service, oauth, http, secrets, now).await?;
            Observed::new(RefreshGrant::new(endpoint, FileTokenStore::new(store)), clock)
        }
        Kind::TokenFile { path } => Observed::new(TokenFile::new(path), clock),
    })
}

async fn endpoint(
    service: &str,
    oauth: &OAuth,
    http: Arc<dyn Fetch>,
    secrets: &Arc<dyn SecretSource>,
    now: UnixTime,
) -> Result<TokenEndpoint, CredentialsError> {
    let refused = |error| CredentialsError::config(service, error);
    let (client, source) = (oauth.client_id.as_str(), Arc::clone(secrets));
    let auth = match &oauth.auth {
        Auth::Basic(name) => ClientAuth::basic_from(client, source, name.clone()),
        Auth::Mtls => ClientAuth::mtls(client),
        Auth::None => ClientAuth::none(client),
        Auth::Post(name) => ClientAuth::post_from(client, source, name.clone()),
        Auth::PrivateKeyJwt { algorithm, issuer, name } => {
            let key = PrivateKeySource::new(*algorithm, source, name.clone()).map_err(refused)?;
            key.read(now).await.map_err(|error| CredentialsError::key(service, error))?;
            ClientAuth::private_key_jwt_from(client, key, issuer)
        }
    };
    let endpoint = TokenEndpoint::new(&oauth.url, auth, http).map_err(refused)?;
    if oauth.has_dpop {
        return Ok(endpoint.dpop(DpopKey::generate().map_err(refused)?));
    }
    Ok(endpoint)
}

fn json_login(
    login: &Login,
    http: Arc<dyn Fetch>,
    secrets: &Arc<dyn SecretSource>,
    clock: Arc<dyn Clock>,
) -> Result<Observed, ConfigError> {
    let mut grant = JsonLogin::new(&login.url, http)?;
    for (member, value) in &login.fields {
        grant = grant.field(member, value);
    }
    for (member, name) in &login.secrets {
        grant = grant.secret_from(member, Arc::clone(secrets), name.clone());
    }
    if let Some(member) = &login.token_member {
        grant = grant.token_member(member);
    }
    if let Some(member) = &login.expires_in_member {
        grant = grant.expires_in_member(member);
    }
    if let Some(member) = &login.refresh_token_member {
        grant = grant.refresh_token_member(member);
    }
    let Some((url, member)) = &login.refresh else { return Ok(Observed::new(grant, clock)) };
    let grant = grant.refresh_at(url, member)?;
    let refreshing = match &login.store {
        Some(path) => RefreshGrant::new(grant.clone(), FileTokenStore::new(path)),
        None => RefreshGrant::new(grant.clone(), MemoryTokenStore::default()),
    };
    Ok(Observed::new(refreshing.login(grant), clock))
}
