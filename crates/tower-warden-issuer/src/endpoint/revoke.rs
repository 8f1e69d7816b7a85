//! Revocation, RFC 7009.

use http::request::Parts;
use tower_warden::revocation::Revocation;

use super::{development::identify, error::OAuthError, form::Form, presented::IssuedToken};
use crate::{Revoker, issuer::Inner};

/// Revokes a token of the client: a refresh token with its family and their access tokens, or one access token.
pub(super) async fn respond(
    issuer: &Inner,
    revoker: &dyn Revoker,
    head: &Parts,
    form: &Form,
) -> Result<(), OAuthError> {
    let now = issuer.clock.now();
    let client = identify(issuer, head, form, now).await?;
    let token = form.get("token").ok_or(OAuthError::invalid_request("The parameter token is missing."))?;
    // RFC 7009 §2.2: an invalid token is as good as a revoked one.
    let Some(token) = issuer.issued(token, now).await? else { return Ok(()) };
    let owner = match &token {
        IssuedToken::Access(identity) => identity.client_id.as_deref(),
        IssuedToken::Refresh(found) => Some(&*found.family.client_id),
    };
    // RFC 7009 §2.1: refused, and the token stays valid.
    if owner != Some(client.id()) {
        return Err(OAuthError::unauthorized_client());
    }
    match (token, &issuer.refresh) {
        (IssuedToken::Refresh(found), Some(refresh)) => issuer.revoke_family(refresh, &found.family.id, now).await,
        (IssuedToken::Refresh(_), None) => Ok(()),
        (IssuedToken::Access(identity), _) => {
            let (Some(id), Some(until)) = (&identity.token_id, identity.expires_at) else { return Ok(()) };
            Ok(revoker.revoke(Revocation::token(&*issuer.name, &**id), until).wait().await?)
        }
    }
}
