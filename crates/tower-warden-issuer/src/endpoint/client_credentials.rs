//! The grant of client credentials, RFC 6749 §4.4.

use std::time::Duration;

use tower_warden::{Identity, UnixTime};

use super::{binding::token_type, error::OAuthError, response::TokenResponse, target, token::GrantRequest};
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
    let end = key.and_then(|key| key.expires_at);
    let expires_at = end.into_iter().fold(now + issuer.lifetime, UnixTime::min);
    let access_token = issuer.access_token_with(&request, &TokenTerms { expires_at, may_act: None }, now).await?;
    if let Some(recorder) = key.and_then(|key| key.on_admission.as_ref()) {
        recorder.admitted(now);
    }
    Ok(TokenResponse {
        access_token,
        expires_in: Duration::from_secs(expires_at.as_secs() - now.as_secs()),
        issued_token_type: None,
        refresh_token: None,
        scopes,
        token_type: token_type(confirmation),
    })
}
