//! The token endpoint.

use http::HeaderMap;

use super::{
    authenticate::authenticate, client_credentials, error::OAuthError, form::Form, refresh_token,
    response::TokenResponse,
};
use crate::{GrantType, issuer::Inner};

/// Handles a request for a token.
pub(super) async fn respond(issuer: &Inner, headers: &HeaderMap, form: &Form) -> Result<TokenResponse, OAuthError> {
    let now = issuer.clock.now();
    let client = authenticate(issuer, headers, form, now).await?;
    let name = form.get("grant_type").ok_or(OAuthError::invalid_request("The parameter grant_type is missing."))?;
    let grant = issuer.grants().find(|grant| grant.as_str() == name);
    let grant = grant.ok_or(OAuthError::unsupported_grant_type())?;
    if !client.may_use(grant) {
        return Err(OAuthError::unauthorized_client());
    }
    match (grant, &issuer.refresh) {
        (GrantType::ClientCredentials, _) => client_credentials::respond(issuer, &client, form, now).await,
        (GrantType::RefreshToken, Some(refresh)) => refresh_token::respond(issuer, refresh, &client, form, now).await,
        (GrantType::RefreshToken, None) => Err(OAuthError::unsupported_grant_type()),
    }
}
