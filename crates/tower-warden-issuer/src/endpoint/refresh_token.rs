//! The grant of refresh tokens, RFC 6749 §6.

use tower_warden::{Digest, UnixTime, revocation::Revocation, scope::Scopes};

use super::{binding::is_proved, error::OAuthError, form::Form, response::TokenResponse, token::GrantRequest};
use crate::{
    ClaimsRequest, Client, FamilyStatus, GrantType, RefreshFamily, RefreshTokens, Rotation, RotationOutcome,
    access_token::TokenTerms,
    issuer::Inner,
    refresh::{FoundToken, RefreshToken, random},
};

/// The consequence of presenting a token, by the state of its family.
enum Use {
    /// It is replaced.
    Rotate,
    /// It was replaced a moment ago: its successor is returned again.
    Repeat(RefreshToken),
    /// Its family has expired.
    Expired,
    /// It was replaced before, or its family is revoked.
    Reused,
}

pub(super) async fn respond(
    issuer: &Inner,
    refresh: &RefreshTokens,
    request: &GrantRequest<'_>,
) -> Result<TokenResponse, OAuthError> {
    let &GrantRequest { client, confirmation, form, now } = request;
    let text = form.get("refresh_token");
    let text = text.ok_or(OAuthError::invalid_request("The parameter refresh_token is missing."))?;
    let token = RefreshToken::parse(text).ok_or(OAuthError::invalid_grant())?;
    let found = refresh.find(token).await?.ok_or(OAuthError::invalid_grant())?;
    let FoundToken { family, token } = &found;
    // RFC 6749 §10.4: it is bound to its client. Another client does not make the family invalid by presenting it.
    if *family.client_id != *client.id() {
        return Err(OAuthError::invalid_grant());
    }
    // RFC 9449 §5, RFC 8705 §4: whoever does not hold the key has stolen it, and cannot end the family with it.
    if family.confirmation.as_ref().is_some_and(|bound| !is_proved(bound, confirmation)) {
        return Err(OAuthError::invalid_grant());
    }
    let usage = refresh.usage(family, token, now);
    if matches!(usage, Use::Expired | Use::Reused) {
        return Err(issuer.end(refresh, family, &usage, now).await);
    }
    let scopes = narrowed(form, &family.scopes, client.allowed_scopes())?;
    let request = ClaimsRequest {
        actors: &[],
        client_id: client.id(),
        confirmation,
        grant: GrantType::RefreshToken,
        presented: None,
        resource: resource(form, family, client)?,
        scopes: &scopes,
        session_id: Some(&family.id),
        subject: &family.subject,
    };
    // Before the rotation: if no access token can be issued, the refresh token is still valid.
    let expires_at = issuer.expiry(now, None);
    let access_token = issuer.access_token(&request, TokenTerms::until(expires_at), now).await?;
    let next = match usage {
        Use::Repeat(next) => next,
        Use::Expired | Use::Reused | Use::Rotate => issuer.rotate(refresh, &found, now).await?,
    };
    let response = TokenResponse::new(access_token, confirmation, scopes, expires_at, now);
    Ok(TokenResponse { refresh_token: Some(next.into_secret()), ..response })
}

impl RefreshTokens {
    /// Returns whether a token can be used.
    pub(super) fn is_current(&self, found: &FoundToken, now: UnixTime) -> bool {
        matches!(self.usage(&found.family, &found.token, now), Use::Rotate)
    }

    fn usage(&self, family: &RefreshFamily, token: &RefreshToken, now: UnixTime) -> Use {
        if family.status != FamilyStatus::Active {
            Use::Reused
        } else if family.expires_at <= now || family.idle_until <= now {
            Use::Expired
        } else if token.number() == family.generation {
            Use::Rotate
        } else {
            self.repeated(family, token, now).map_or(Use::Reused, Use::Repeat)
        }
    }

    /// The successor of a token that was replaced a moment ago.
    fn repeated(&self, family: &RefreshFamily, token: &RefreshToken, now: UnixTime) -> Option<RefreshToken> {
        let is_last = token.number().checked_add(1) == Some(family.generation);
        // A second holder of a bound token has the key as well: that is worse than a lost response.
        let may_repeat = is_last && family.confirmation.is_none() && now < family.rotated_at + self.grace;
        let next = token.successor(&family.seed.filter(|_| may_repeat)?, &family.key);
        // A token with a tag, but not that of the client, yields another one.
        Some(next).filter(|next| next.digest() == family.token)
    }
}

impl Inner {
    /// Replaces the token, or returns the successor that a concurrent request has made.
    async fn rotate(
        &self,
        refresh: &RefreshTokens,
        found: &FoundToken,
        now: UnixTime,
    ) -> Result<RefreshToken, OAuthError> {
        let FoundToken { family, token } = found;
        let seed = Digest::from_bytes(random()?);
        let next = token.successor(&seed, &family.key);
        let rotation = Rotation {
            family_id: family.id.clone(),
            from: token.number(),
            token: next.digest(),
            seed,
            idle_until: family.expires_at.min(now + refresh.idle),
            now,
        };
        match refresh.store.rotate(rotation).wait().await? {
            RotationOutcome::Rotated => Ok(next),
            RotationOutcome::Missing => Err(OAuthError::invalid_grant()),
            RotationOutcome::Lost(family) => match refresh.usage(&family, token, now) {
                Use::Repeat(next) => Ok(next),
                // The store has reported that the token is not the current one.
                Use::Rotate => Err(OAuthError::unavailable(std::time::Duration::from_secs(1))),
                usage @ (Use::Expired | Use::Reused) => Err(self.end(refresh, &family, &usage, now).await),
            },
        }
    }

    /// The error for a token that may not be used. After the use of a token that was replaced, the family is revoked, and its
    /// access tokens with it.
    async fn end(&self, refresh: &RefreshTokens, family: &RefreshFamily, usage: &Use, now: UnixTime) -> OAuthError {
        if matches!(usage, Use::Reused) {
            tracing::warn!(client = &*family.client_id, family = &*family.id, "a used refresh token was presented");
            // Also if the family is revoked already: its access tokens may not be, if the list did not answer then.
            if let Err(error) = self.revoke_family(refresh, &family.id, now).await {
                return error;
            }
        }
        OAuthError::invalid_grant()
    }

    /// Revokes a family, and then its access tokens.
    pub(crate) async fn revoke_family(
        &self,
        refresh: &RefreshTokens,
        id: &str,
        now: UnixTime,
    ) -> Result<(), OAuthError> {
        refresh.store.revoke(id).wait().await?;
        let revocation = Revocation::session(&*self.name, id);
        Ok(refresh.revoker.revoke(revocation, now + self.lifetime).wait().await?)
    }
}

/// RFC 6749 §6: a scope that was not granted is refused. A scope that the client may not have any more is left out.
fn narrowed(form: &Form, granted: &Scopes, allowed: &Scopes) -> Result<Scopes, OAuthError> {
    let requested = match form.get("scope") {
        Some(text) => Scopes::parse(text).map_err(|_| OAuthError::invalid_scope())?,
        None => granted.clone(),
    };
    if !granted.contains_all(&requested) {
        return Err(OAuthError::invalid_scope());
    }
    let scopes: Scopes = requested.iter().filter(|scope| allowed.contains(scope)).cloned().collect();
    if scopes.is_empty() && !requested.is_empty() { Err(OAuthError::invalid_scope()) } else { Ok(scopes) }
}

/// RFC 8707 §2.2: the resource that was granted, if the client may still request it.
fn resource<'a>(form: &Form, family: &'a RefreshFamily, client: &Client) -> Result<&'a str, OAuthError> {
    let is_granted = form.get_all("resource").all(|requested| *requested == *family.resource);
    let resource = Some(&*family.resource).filter(|resource| is_granted && client.has_resource(resource));
    resource.ok_or(OAuthError::invalid_target())
}
