//! Access tokens, RFC 9068.

use aws_lc_rs::rand;
use serde_json::Value;
use tower_warden::{AuthMethod, Unavailable, UnixTime};

use crate::{
    ClaimsError, ClaimsRequest, GrantType,
    endpoint::{MayAct, OAuthError, act},
    issuer::Inner,
    signing::encode,
};

/// What limits a token that is issued for another one.
pub(crate) struct TokenTerms<'a> {
    pub(crate) expires_at: UnixTime,
    pub(crate) may_act: Option<&'a MayAct>,
}

impl Inner {
    /// Signs an access token.
    pub(crate) async fn access_token(&self, request: &ClaimsRequest<'_>, now: UnixTime) -> Result<String, OAuthError> {
        self.access_token_with(request, &TokenTerms { expires_at: now + self.lifetime, may_act: None }, now).await
    }

    /// Signs an access token that is issued for another token.
    pub(crate) async fn access_token_with(
        &self,
        request: &ClaimsRequest<'_>,
        terms: &TokenTerms<'_>,
        now: UnixTime,
    ) -> Result<String, OAuthError> {
        let claims = self.claims.claims(request).wait().await;
        let claims = claims.map_err(|error| match error {
            ClaimsError::Refused => match request.grant {
                GrantType::AuthorizationCode | GrantType::RefreshToken => OAuthError::invalid_grant(),
                GrantType::ClientCredentials => OAuthError::unauthorized_client(),
                GrantType::JwtBearer => OAuthError::invalid_assertion(),
                GrantType::TokenExchange => OAuthError::invalid_subject_token(),
            },
            ClaimsError::Unavailable(error) => error.into(),
        })?;
        let mut claims = claims.into_members();
        if let Some(key) = request.presented.filter(|presented| presented.method == AuthMethod::ApiKey) {
            for (name, value) in [("tenant", &key.tenant), ("tier", &key.tier)] {
                if let Some(value) = value {
                    claims.entry(name).or_insert_with(|| (**value).into());
                }
            }
        }
        // RFC 9068 §2.2.
        let members = [
            ("aud", request.resource.into()),
            ("client_id", request.client_id.into()),
            ("exp", terms.expires_at.as_secs().into()),
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
        if let Some(actor) = act(request.actors) {
            claims.insert("act".into(), actor);
        }
        if let Some(may_act) = terms.may_act {
            // Instead of one of the application: what the subject token states is never widened.
            claims.insert("may_act".into(), may_act.to_claim(&self.name));
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
