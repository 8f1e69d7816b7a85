//! Access tokens, RFC 9068.

use aws_lc_rs::rand;
use serde_json::Value;
use tower_warden::{Unavailable, UnixTime};

use crate::{ClaimsError, ClaimsRequest, GrantType, endpoint::OAuthError, issuer::Inner, signing::encode};

impl Inner {
    /// Signs an access token.
    pub(crate) async fn access_token(&self, request: &ClaimsRequest<'_>, now: UnixTime) -> Result<String, OAuthError> {
        let claims = self.claims.claims(request).wait().await;
        let claims = claims.map_err(|error| match error {
            ClaimsError::Refused if request.grant == GrantType::RefreshToken => OAuthError::invalid_grant(),
            ClaimsError::Refused => OAuthError::unauthorized_client(),
            ClaimsError::Unavailable(error) => error.into(),
        })?;
        let mut claims = claims.into_members();
        // RFC 9068 §2.2.
        let members = [
            ("aud", request.resource.into()),
            ("client_id", request.client_id.into()),
            ("exp", (now + self.lifetime).as_secs().into()),
            ("iat", now.as_secs().into()),
            ("iss", (*self.name).into()),
            ("jti", unique_id()?.into()),
            ("sub", request.subject.into()),
        ];
        claims.extend(members.map(|(name, value)| (name.to_owned(), value)));
        if !request.scopes.is_empty() {
            claims.insert("scope".into(), request.scopes.to_string().into());
        }
        if let Some(confirmation) = request.confirmation {
            // RFC 7800 §3.1.
            let members = confirmation
                .iter()
                .map(|member| (member.method.as_str().to_owned(), Value::from(member.thumbprint.to_base64url())));
            claims.insert("cnf".into(), Value::Object(members.collect()));
        }
        if let Some(id) = request.session_id {
            claims.insert("sid".into(), id.into());
        }
        Ok(self.keys.current(now).await?.sign_jwt("at+jwt", &claims.into())?)
    }
}

/// 128 random bits.
fn unique_id() -> Result<String, Unavailable> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Unavailable::new("the system's random generator"))?;
    Ok(encode(&bytes))
}
