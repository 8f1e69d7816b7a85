//! Introspection, RFC 7662.

use http::request::Parts;
use serde_json::{Map, Value, json};
use tower_warden::UnixTime;

use super::{authenticate::authenticate, binding::token_type, error::OAuthError, form::Form, presented::IssuedToken};
use crate::{Client, issuer::Inner, refresh::FoundToken};

/// Reports whether a token is active, and its claims.
///
/// A client may know its own tokens, and a resource server the access tokens for its resources. For all others, the token is
/// not active (RFC 7662 §2.2).
pub(super) async fn respond(issuer: &Inner, head: &Parts, form: &Form) -> Result<Value, OAuthError> {
    let now = issuer.clock.now();
    let client = authenticate(issuer, head, form, now).await?;
    let token = form.get("token").ok_or(OAuthError::invalid_request("The parameter token is missing."))?;
    let members = match issuer.issued(token, now).await? {
        Some(IssuedToken::Access(identity)) => {
            let may_know = identity.client_id.as_deref() == Some(client.id())
                || identity.audience.as_deref().is_some_and(|audience| client.serves(audience));
            let is_active = may_know && !issuer.is_revoked(&identity).await?;
            let claims = identity.claims.as_deref().filter(|_| is_active);
            claims.and_then(|claims| serde_json::from_str(claims).ok()).map(|mut claims: Map<String, Value>| {
                let kind = token_type(identity.confirmation.as_ref());
                claims.insert("token_type".into(), kind.into());
                claims
            })
        }
        Some(IssuedToken::Refresh(found)) => refresh_token(issuer, &client, &found, now),
        None => None,
    };
    let Some(mut members) = members else { return Ok(json!({ "active": false })) };
    members.insert("active".into(), true.into());
    Ok(members.into())
}

/// The members for a refresh token that can be used.
fn refresh_token(issuer: &Inner, client: &Client, found: &FoundToken, now: UnixTime) -> Option<Map<String, Value>> {
    let family = &found.family;
    let is_current = issuer.refresh.as_ref().is_some_and(|refresh| refresh.is_current(found, now));
    if *family.client_id != *client.id() || !is_current {
        return None;
    }
    let members = json!({
        "client_id": family.client_id,
        "exp": family.expires_at.as_secs(),
        "iss": issuer.name,
        "scope": family.scopes.to_string(),
        "sub": family.subject,
    });
    members.as_object().cloned()
}
