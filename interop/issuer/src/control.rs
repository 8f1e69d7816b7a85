//! Routes by which the scripts on this machine, without authentication, register clients, issue first refresh tokens, replace keys
//! and suspend accounts: what an application that embeds the issuer does in its code.

use std::sync::PoisonError;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_warden::{
    Digest,
    api_key::{ApiKeys, NewKey},
    caller::Confirmation,
    certificate::CertificateName,
    jwt::StaticKeys,
    scope::Scopes,
};
use tower_warden_issuer::{
    Client, ClientAuthentication, ClientSecrets, GrantType, MemoryClientStore, RefreshTokenRequest, SigningKey,
    TokenBinding, TokenIssuer,
};

use crate::{Suspended, api};

/// The state of the routes.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) api_keys: ApiKeys,
    pub(crate) clients: MemoryClientStore,
    pub(crate) issuer: TokenIssuer,
    pub(crate) suspended: Suspended,
}

impl Control {
    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route("/control/api-keys", post(mint))
            .route("/control/clients", post(register))
            .route("/control/keys", post(replace_key))
            .route("/control/refresh-tokens", post(first_refresh_token))
            .route("/control/suspensions", post(suspend))
            .with_state(self)
    }
}

/// A client, with members that are named as in RFC 7591 where that has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    /// `certificate` or `key`.
    binding: Option<String>,
    client_id: String,
    #[serde(default)]
    grant_types: Vec<String>,
    jwks: Option<Value>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    /// The API of this server by default. The first is that of requests without one.
    #[serde(default)]
    resources: Vec<String>,
    scope: Option<String>,
    /// The thumbprint of a certificate for `self_signed_tls_client_auth`.
    self_signed: Option<String>,
    /// The resource that the client is the server of.
    serves: Option<String>,
    /// A client without one is public.
    token_endpoint_auth_methods: Vec<String>,
    tls_client_auth_san_dns: Option<String>,
}

async fn register(
    State(control): State<Control>,
    Json(registration): Json<Registration>,
) -> Result<Json<Value>, Failed> {
    let Registration { client_id, jwks, .. } = &registration;
    let (secret, digest) = control.issuer.generate_secret()?;
    let secrets = ClientSecrets::new(digest);
    let mut client = Client::new(client_id, &first_resource(&control, &registration))?
        .grants(registration.grant_types.iter().map(|name| grant(name)).collect::<Result<Vec<_>, _>>()?)
        .scopes(registration.scope.as_deref().unwrap_or("orders:read orders:write"))?;
    for resource in &registration.resources {
        client = client.resource(resource)?;
    }
    for method in &registration.token_endpoint_auth_methods {
        client = client.authentication(match (&**method, jwks) {
            ("client_secret_basic", _) => ClientAuthentication::SecretBasic(secrets.clone()),
            ("client_secret_post", _) => ClientAuthentication::SecretPost(secrets.clone()),
            ("private_key_jwt", Some(jwks)) => {
                ClientAuthentication::private_key_jwt(StaticKeys::from_jwk_set(&jwks.to_string())?)
            }
            ("self_signed_tls_client_auth", _) => {
                let thumbprint = registration.self_signed.as_deref().and_then(Digest::from_base64url);
                ClientAuthentication::SelfSignedTls(vec![
                    thumbprint.ok_or_else(|| unknown("thumbprint of", client_id))?,
                ])
            }
            ("tls_client_auth", _) => {
                let name = registration.tls_client_auth_san_dns.as_deref();
                ClientAuthentication::Tls(CertificateName::dns(name.ok_or_else(|| unknown("name of", client_id))?))
            }
            _ => return Err(unknown("method of authentication", method)),
        });
    }
    if registration.token_endpoint_auth_methods.is_empty() {
        client = client.public();
    }
    for uri in &registration.redirect_uris {
        client = client.redirect_uri(uri)?;
    }
    client = match registration.binding.as_deref() {
        Some("certificate") => client.require_binding(TokenBinding::Certificate),
        Some("key") => client.require_binding(TokenBinding::Key),
        Some(name) => return Err(unknown("binding", name)),
        None => client,
    };
    if let Some(resource) = &registration.serves {
        client = client.serve(resource)?;
    }
    control.clients.insert(client);
    let has_secret = registration.token_endpoint_auth_methods.iter().any(|method| method.starts_with("client_secret"));
    Ok(Json(json!({ "client_id": client_id, "client_secret": has_secret.then(|| secret.expose()) })))
}

fn first_resource(control: &Control, registration: &Registration) -> String {
    let own = || format!("{}{}", control.issuer.name(), api::PATH);
    registration.resources.first().cloned().unwrap_or_else(own)
}

fn grant(name: &str) -> Result<GrantType, Failed> {
    match name {
        "authorization_code" => Ok(GrantType::AuthorizationCode),
        "client_credentials" => Ok(GrantType::ClientCredentials),
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => Ok(GrantType::JwtBearer),
        "refresh_token" => Ok(GrantType::RefreshToken),
        "urn:ietf:params:oauth:grant-type:token-exchange" => Ok(GrantType::TokenExchange),
        _ => Err(unknown("grant", name)),
    }
}

/// The owner of an API key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    owner: String,
    scope: String,
}

async fn mint(State(control): State<Control>, Json(owner): Json<Owner>) -> Result<Json<Value>, Failed> {
    let (_, key) = control.api_keys.mint(NewKey::new(owner.owner).scopes(Scopes::parse(&owner.scope)?)).await?;
    Ok(Json(json!({ "key": key.expose() })))
}

/// Publishes a new key for the same algorithm.
async fn replace_key(State(control): State<Control>) -> Result<Json<Value>, Failed> {
    let now = tower_warden::Clock::now(&tower_warden::SystemClock::default());
    let algorithm = control.issuer.keys().algorithm(now);
    let signs_from = control.issuer.rotate_keys(SigningKey::generate(algorithm)?).await?;
    Ok(Json(json!({ "signs_from": signs_from.as_secs() })))
}

/// The account that an application has signed in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    client_id: String,
    /// The thumbprint of the key that the tokens are bound to.
    jkt: Option<String>,
    scope: Option<String>,
    subject: String,
}

async fn first_refresh_token(State(control): State<Control>, Json(login): Json<Login>) -> Result<Json<Value>, Failed> {
    let mut request = RefreshTokenRequest::new(&login.client_id, &login.subject);
    if let Some(jkt) = &login.jkt {
        let thumbprint = Digest::from_base64url(jkt).ok_or_else(|| unknown("thumbprint", jkt))?;
        request = request.bound_to(Confirmation::key(thumbprint));
    }
    if let Some(scope) = &login.scope {
        request = request.scopes(Scopes::parse(scope)?);
    }
    let token = control.issuer.issue_refresh_token(&request).await?;
    Ok(Json(json!({ "refresh_token": token.expose() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Suspension {
    subject: String,
}

async fn suspend(State(control): State<Control>, Json(suspension): Json<Suspension>) -> StatusCode {
    control.suspended.lock().unwrap_or_else(PoisonError::into_inner).insert(suspension.subject);
    StatusCode::NO_CONTENT
}

/// A mistake in a script.
struct Failed(String);

fn unknown(what: &str, value: &str) -> Failed {
    Failed(format!("unknown {what}: {value}"))
}

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, self.0).into_response()
    }
}
