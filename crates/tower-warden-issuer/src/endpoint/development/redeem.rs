//! The grant of authorization codes, RFC 6749 §4.1.3.

use tower_warden::{Digest, UnixTime, revocation::Revocation};

use super::{
    Development,
    codes::{CodeGrant, FoundCode},
};
use crate::{
    ClaimsRequest, GrantType,
    access_token::TokenTerms,
    endpoint::{binding::is_proved, error::OAuthError, form::Form, response::TokenResponse, token::GrantRequest},
    issuer::Inner,
    refresh::{FamilyStart, random},
    signing::encode,
};

/// Exchanges a code for tokens.
pub(in crate::endpoint) async fn respond(
    issuer: &Inner,
    development: &Development,
    request: &GrantRequest<'_>,
) -> Result<TokenResponse, OAuthError> {
    let &GrantRequest { client, confirmation, form, now } = request;
    let code = form.get("code").ok_or(OAuthError::invalid_request("The parameter code is missing."))?;
    let code = Digest::of(code.as_bytes());
    let FoundCode { grant, session } = development.codes.find(&code, now).ok_or(OAuthError::invalid_grant())?;
    // Another client does not make the tokens of this one invalid by presenting its code.
    if *grant.client_id != *client.id() {
        return Err(OAuthError::invalid_grant());
    }
    check(&grant, request)?;
    if let Some(session) = session {
        return Err(issuer.end_session(&session, client.id(), now).await);
    }
    if grant.expires_at <= now {
        return Err(OAuthError::invalid_grant());
    }
    let id = random()?;
    let session = encode(&id);
    let claims = ClaimsRequest {
        actors: &[],
        client_id: client.id(),
        confirmation,
        grant: GrantType::AuthorizationCode,
        presented: None,
        resource: resource(form, &grant)?,
        scopes: &grant.scopes,
        session_id: Some(&session),
        subject: &grant.subject,
    };
    // Before the code is used: if no token can be issued, it is still valid.
    let expires_at = issuer.expiry(now, None);
    let access_token = issuer.access_token(&claims, TokenTerms::until(expires_at), now).await?;
    let refresh_token = match &issuer.refresh {
        Some(refresh) if client.may_use(GrantType::RefreshToken) => {
            let start = FamilyStart {
                client_id: client.id(),
                // RFC 9449 §5: those of a client that authenticates are bound to it already.
                confirmation: confirmation.filter(|_| client.is_public()),
                id,
                resource: &grant.resource,
                scopes: &grant.scopes,
                subject: &grant.subject,
            };
            Some(refresh.begin(&start, now).await?)
        }
        _ => None,
    };
    match development.codes.use_once(&code, &session, issuer.lifetime, now) {
        Ok(()) => {}
        Err(Some(first)) => return Err(issuer.end_session(&first, client.id(), now).await),
        Err(None) => return Err(OAuthError::invalid_grant()),
    }
    let response = TokenResponse::new(access_token, confirmation, grant.scopes.clone(), expires_at, now);
    Ok(TokenResponse { refresh_token, ..response })
}

/// Checks that the request agrees with the one that the code was issued for. A sender that lacks the verifier or the
/// key has stolen the code, and cannot end the session with it.
fn check(grant: &CodeGrant, request: &GrantRequest<'_>) -> Result<(), OAuthError> {
    let &GrantRequest { confirmation, form, .. } = request;
    let is_same_uri = form.get("redirect_uri") == Some(&*grant.redirect_uri);
    // RFC 9449 §10.
    let is_same_key = grant.confirmation.as_ref().is_none_or(|bound| is_proved(bound, confirmation));
    if is_same_uri && is_same_key && verifies(form, &grant.challenge) {
        Ok(())
    } else {
        Err(OAuthError::invalid_grant())
    }
}

/// RFC 7636 §4.6. The digests are compared in constant time.
fn verifies(form: &Form, challenge: &Digest) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    form.get("code_verifier").is_some_and(|verifier| {
        // RFC 7636 §4.1.
        (43..=128).contains(&verifier.len())
            && verifier.bytes().all(is_allowed)
            && Digest::of(verifier.as_bytes()) == *challenge
    })
}

/// RFC 8707 §2.2: the resource that was granted, if the request names one.
fn resource<'a>(form: &Form, grant: &'a CodeGrant) -> Result<&'a str, OAuthError> {
    let is_granted = form.get_all("resource").all(|requested| *requested == *grant.resource);
    if is_granted { Ok(&grant.resource) } else { Err(OAuthError::invalid_target()) }
}

impl Inner {
    /// Revokes the tokens of a session whose code was used again, RFC 6749 §4.1.2; returns the error for that use.
    async fn end_session(&self, session: &str, client: &str, now: UnixTime) -> OAuthError {
        tracing::warn!(client, session, "a used authorization code was presented");
        if let Some(refresh) = &self.refresh
            && let Err(error) = self.revoke_family(refresh, session, now).await
        {
            return error;
        }
        // It may be another list than that of the refresh tokens.
        if let Some(list) = &self.revocations {
            let revocation = Revocation::session(&*self.name, session);
            if let Err(error) = list.revoke(revocation, now + self.lifetime).wait().await {
                return error.into();
            }
        }
        OAuthError::invalid_grant()
    }
}
