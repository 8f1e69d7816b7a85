//! The JSON form of the endpoints, as APIs for agents have it.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use http_body::Body;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    audited::Notes,
    authenticate::authenticate_agent,
    binding::{Possession, ResponseFields},
    client_credentials, development,
    error::OAuthError,
    form::{Form, is_of_type},
    refresh_token,
    response::TokenResponse,
    service::read_body,
    target,
    token::GrantRequest,
};
use crate::{
    Client, GrantType, RefreshTokens,
    issuer::Inner,
    refresh::{FamilyStart, RefreshToken, random},
    signing::encode,
};

/// An endpoint of this form.
#[derive(Clone, Copy)]
pub(super) enum AgentEndpoint<'a> {
    Refresh(&'a RefreshTokens),
    Token,
}

/// The body of a request for a token. Members that are not known are refused: they may be restrictions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    agent_id: String,
    #[serde(deserialize_with = "secret")]
    agent_secret: Zeroizing<String>,
    #[serde(default, deserialize_with = "optional")]
    resource: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "optional")]
    scope: Option<Zeroizing<String>>,
}

/// The body of a refresh.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refresh {
    #[serde(deserialize_with = "secret")]
    refresh_token: Zeroizing<String>,
    #[serde(default, deserialize_with = "optional")]
    scope: Option<Zeroizing<String>>,
}

/// Responds at an endpoint of this form.
pub(super) async fn respond<B, ReqBody>(
    issuer: &Inner,
    endpoint: AgentEndpoint<'_>,
    head: &Parts,
    body: ReqBody,
) -> Response<B>
where
    B: From<Bytes>,
    ReqBody: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let mut fields = Vec::new();
    let response = token(issuer, endpoint, head, body, &mut fields).await;
    let notes = Notes::of(&head.extensions);
    let mut response = response.map_or_else(OAuthError::into_response, |token| token.into_response(&notes));
    if response.status() == StatusCode::UNAUTHORIZED {
        // RFC 9110 §15.5.2: a challenge, and not the one of the token endpoint.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    }
    response.headers_mut().extend(fields);
    response
}

async fn token<ReqBody>(
    issuer: &Inner,
    endpoint: AgentEndpoint<'_>,
    head: &Parts,
    body: ReqBody,
    fields: &mut ResponseFields,
) -> Result<TokenResponse, OAuthError>
where
    ReqBody: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    development::check(issuer, head)?;
    if head.uri.query().is_some() {
        return Err(OAuthError::invalid_request("Parameters are in the body, not in the URL."));
    }
    if !is_of_type(&head.headers, "application/json") {
        return Err(OAuthError::invalid_request("The body is not application/json in UTF-8."));
    }
    let text = read_body(body, Form::MAX_BYTES).await?;
    match endpoint {
        AgentEndpoint::Refresh(tokens) => refresh(issuer, tokens, head, parse(&text)?, fields).await,
        AgentEndpoint::Token => log_in(issuer, head, parse(&text)?, fields).await,
    }
}

/// Issues a token for an agent, and the first refresh token of a family if it may have one.
async fn log_in(
    issuer: &Inner,
    head: &Parts,
    login: Login,
    fields: &mut ResponseFields,
) -> Result<TokenResponse, OAuthError> {
    let now = issuer.clock.now();
    let authenticated = authenticate_agent(issuer, login.agent_id, login.agent_secret, now).await?;
    let client = &*authenticated.client;
    Notes::of(&head.extensions).client(client.id());
    if !client.may_use(GrantType::ClientCredentials) {
        return Err(OAuthError::unauthorized_client());
    }
    let possession = Possession::verify(issuer, head, client, now, fields)?;
    let confirmation = possession.use_once(issuer, now, fields).await?;
    authenticated.check_binding(confirmation.as_ref())?;
    let form = Form::of([("resource", login.resource), ("scope", login.scope)]);
    let request = GrantRequest { client, confirmation: confirmation.as_ref(), form: &form, now };
    let key = authenticated.key.as_deref();
    let Some(refresh) = issuer.refresh.as_ref().filter(|_| client.may_use(GrantType::RefreshToken)) else {
        return client_credentials::respond(issuer, &request, key, None).await;
    };
    let id = random()?;
    let mut response = client_credentials::respond(issuer, &request, key, Some(&encode(&id))).await?;
    let start = FamilyStart {
        client_id: client.id(),
        confirmation: confirmation.as_ref(),
        id,
        resource: target::resource(&form, client)?,
        scopes: &response.scopes,
        subject: client.id(),
    };
    // RFC 6749 §5.1: it is optional. Without one, the agent logs in again.
    match refresh.begin(&start, now).await {
        Ok(token) => response.refresh_token = Some(token),
        Err(error) => tracing::warn!(client = client.id(), %error, "an agent logged in without a refresh token"),
    }
    Ok(response)
}

/// Refreshes the token of an agent, which is identified by its refresh token alone.
async fn refresh(
    issuer: &Inner,
    tokens: &RefreshTokens,
    head: &Parts,
    body: Refresh,
    fields: &mut ResponseFields,
) -> Result<TokenResponse, OAuthError> {
    let (now, refused) = (issuer.clock.now(), OAuthError::invalid_grant);
    let token = RefreshToken::parse(&body.refresh_token).ok_or_else(refused)?;
    let found = tokens.find(token).await?.ok_or_else(refused)?;
    let client = issuer.clients.find(&found.family.client_id).wait().await?;
    // RFC 6749 §6: others authenticate for each refresh, and so does an agent whose token is about another subject,
    // because that token is not one of a login.
    let may_refresh = |client: &Client| {
        client.is_agent() && client.may_use(GrantType::RefreshToken) && *found.family.subject == *client.id()
    };
    let client = client.filter(|client| may_refresh(client)).ok_or_else(refused)?;
    Notes::of(&head.extensions).client(client.id());
    let possession = Possession::verify(issuer, head, &client, now, fields)?;
    let confirmation = possession.use_once(issuer, now, fields).await?;
    let form = Form::of([("refresh_token", Some(body.refresh_token)), ("scope", body.scope)]);
    let request = GrantRequest { client: &client, confirmation: confirmation.as_ref(), form: &form, now };
    refresh_token::respond(issuer, tokens, &request).await
}

/// Parses an object. A member that occurs twice is refused.
fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, OAuthError> {
    // A list of the values in their order would be accepted as well.
    let is_object = text.trim_ascii_start().first() == Some(&b'{');
    let parsed = if is_object { serde_json::from_slice(text).ok() } else { None };
    parsed.ok_or(OAuthError::invalid_request("The body is not a JSON object with the members of this endpoint."))
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

/// A member that may be absent. `null` is not the same as absent.
fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    secret(deserializer).map(Some)
}

const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"AgentSecret realm="agents""#);
