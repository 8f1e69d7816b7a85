//! The token endpoint.

use http::request::Parts;
use tower_warden::{UnixTime, caller::Confirmation};

use super::{
    audited::Notes,
    authenticate::{AuthenticatedClient, authenticate_for_token},
    binding::{Possession, ResponseFields},
    client_credentials,
    development::{self, public_client},
    error::OAuthError,
    form::Form,
    jwt_bearer, refresh_token,
    response::TokenResponse,
    token_exchange,
};
use crate::{Client, GrantType, issuer::Inner};

/// A request of an authenticated client, for a grant that it may use.
#[derive(Clone, Copy)]
pub(super) struct GrantRequest<'a> {
    pub(super) client: &'a Client,
    /// The key or certificate that the sender has proved to possess.
    pub(super) confirmation: Option<&'a Confirmation>,
    pub(super) form: &'a Form,
    pub(super) now: UnixTime,
}

/// Handles a request for a token.
pub(super) async fn respond(
    issuer: &Inner,
    head: &Parts,
    form: &Form,
    fields: &mut ResponseFields,
) -> Result<TokenResponse, OAuthError> {
    let now = issuer.clock.now();
    let authenticated = match public_client(issuer, head, form).await? {
        Some(client) => AuthenticatedClient::public(client),
        None => authenticate_for_token(issuer, head, form, now).await?,
    };
    let client = &*authenticated.client;
    Notes::of(&head.extensions).client(client.id());
    let name = form.get("grant_type").ok_or(OAuthError::invalid_request("The parameter grant_type is missing."))?;
    let grant = issuer.grants().find(|grant| grant.as_str() == name);
    let grant = grant.ok_or(OAuthError::unsupported_grant_type())?;
    if !client.may_use(grant) {
        return Err(OAuthError::unauthorized_client());
    }
    let possession = Possession::verify(issuer, head, client, now, fields)?;
    // RFC 9449 §8: a request that lacks the nonce is sent again, maybe with the same assertion.
    authenticated.use_once(issuer).await?;
    let confirmation = possession.use_once(issuer, now, fields).await?;
    authenticated.check_binding(confirmation.as_ref())?;
    let request = GrantRequest { client, confirmation: confirmation.as_ref(), form, now };
    // `Inner::grants` has those that are configured.
    let disabled = OAuthError::unsupported_grant_type();
    match grant {
        GrantType::AuthorizationCode => {
            development::redeem(issuer, issuer.development.as_ref().ok_or(disabled)?, &request).await
        }
        GrantType::ClientCredentials => {
            client_credentials::respond(issuer, &request, authenticated.key.as_deref(), None).await
        }
        GrantType::JwtBearer => {
            jwt_bearer::respond(issuer, issuer.jwt_bearer.as_ref().ok_or(disabled)?, &request).await
        }
        GrantType::RefreshToken => {
            refresh_token::respond(issuer, issuer.refresh.as_ref().ok_or(disabled)?, &request).await
        }
        GrantType::TokenExchange => {
            token_exchange::respond(issuer, issuer.exchange.as_ref().ok_or(disabled)?, &request).await
        }
    }
}
