//! The grant of client credentials, RFC 6749 §4.4.

use tower_warden::UnixTime;

use super::{error::OAuthError, form::Form, response::TokenResponse, target};
use crate::{ClaimsRequest, Client, GrantType, issuer::Inner};

pub(super) async fn respond(
    issuer: &Inner,
    client: &Client,
    form: &Form,
    now: UnixTime,
) -> Result<TokenResponse, OAuthError> {
    let scopes = target::scopes(form, client.allowed_scopes())?;
    let request = ClaimsRequest {
        client_id: client.id(),
        grant: GrantType::ClientCredentials,
        resource: target::resource(form, client)?,
        scopes: &scopes,
        session_id: None,
        // RFC 9068 §2.2: the client itself.
        subject: client.id(),
    };
    let access_token = issuer.access_token(&request, now).await?;
    Ok(TokenResponse { access_token, expires_in: issuer.lifetime, refresh_token: None, scopes })
}
