//! The grant of client credentials, RFC 6749 §4.4.

use serde_json::Value;
use tower_warden::Identity;

use super::{error::OAuthError, response::TokenResponse, target, token::GrantRequest};
use crate::{ClaimsRequest, GrantType, access_token::TokenTerms, issuer::Inner};

/// Issues a token for the client itself: a registered one, or the owner of an API key.
pub(super) async fn respond(
    issuer: &Inner,
    request: &GrantRequest<'_>,
    key: Option<&Identity>,
    session_id: Option<&str>,
) -> Result<TokenResponse, OAuthError> {
    let &GrantRequest { client, confirmation, form, now } = request;
    let scopes = target::scopes(form, client.allowed_scopes())?;
    let request = ClaimsRequest {
        actors: &[],
        client_id: client.id(),
        confirmation,
        grant: GrantType::ClientCredentials,
        presented: key,
        resource: target::resource(form, client)?,
        scopes: &scopes,
        session_id,
        // RFC 9068 §2.2: the client itself.
        subject: client.id(),
    };
    let expires_at = issuer.expiry(now, key.and_then(|key| key.expires_at));
    let members = key.map_or([None, None], |key| [("tenant", &key.tenant), ("tier", &key.tier)].map(member));
    let terms = TokenTerms { defaults: members.into_iter().flatten().collect(), ..TokenTerms::until(expires_at) };
    let access_token = issuer.access_token(&request, terms, now).await?;
    if let Some(recorder) = key.and_then(|key| key.on_admission.as_ref()) {
        recorder.admitted(now);
    }
    Ok(TokenResponse::new(access_token, confirmation, scopes, expires_at, now))
}

/// A claim with a value of the key.
fn member((name, value): (&str, &Option<Box<str>>)) -> Option<(String, Value)> {
    Some((name.to_owned(), value.as_deref()?.into()))
}
