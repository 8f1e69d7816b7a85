//! The grant of client credentials, RFC 6749 §4.4.

use super::{binding::token_type, error::OAuthError, response::TokenResponse, target, token::GrantRequest};
use crate::{ClaimsRequest, GrantType, issuer::Inner};

pub(super) async fn respond(issuer: &Inner, request: &GrantRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let &GrantRequest { client, confirmation, form, now } = request;
    let scopes = target::scopes(form, client.allowed_scopes())?;
    let request = ClaimsRequest {
        actors: &[],
        client_id: client.id(),
        confirmation,
        grant: GrantType::ClientCredentials,
        presented: None,
        resource: target::resource(form, client)?,
        scopes: &scopes,
        session_id: None,
        // RFC 9068 §2.2: the client itself.
        subject: client.id(),
    };
    let access_token = issuer.access_token(&request, now).await?;
    Ok(TokenResponse {
        access_token,
        expires_in: issuer.lifetime,
        issued_token_type: None,
        refresh_token: None,
        scopes,
        token_type: token_type(confirmation),
    })
}
