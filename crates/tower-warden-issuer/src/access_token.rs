//! Access tokens, RFC 9068.

use aws_lc_rs::rand;
use serde_json::{Map, Value};
use tower_warden::{Unavailable, UnixTime};

use crate::{
    ClaimsError, ClaimsRequest, GrantType,
    endpoint::{MayAct, OAuthError, act},
    issuer::Inner,
    signing::encode,
};

/// The parts of a token that it takes over from the credential that it is issued for.
#[derive(Default)]
pub(crate) struct TokenTerms<'a> {
    /// Claims that it has unless the application sets them.
    pub(crate) defaults: Map<String, Value>,
    pub(crate) expires_at: UnixTime,
    pub(crate) may_act: Option<&'a MayAct>,
}

impl TokenTerms<'_> {
    /// A token that is issued for no other one.
    pub(crate) fn until(expires_at: UnixTime) -> Self {
        Self { expires_at, ..Self::default() }
    }
}

/// A signed token.
pub(crate) struct AccessToken {
    pub(crate) text: String,
    #[cfg_attr(not(feature = "audit"), expect(dead_code, reason = "for the audit event of the request"))]
    pub(crate) grant: GrantType,
    #[cfg_attr(not(feature = "audit"), expect(dead_code, reason = "for the audit event of the request"))]
    pub(crate) id: String,
    #[cfg_attr(not(feature = "audit"), expect(dead_code, reason = "for the audit event of the request"))]
    pub(crate) resource: String,
    #[cfg_attr(not(feature = "audit"), expect(dead_code, reason = "for the audit event of the request"))]
    pub(crate) subject: String,
}

impl Inner {
    /// The expiry of a token that is issued now, for credentials that expire at these times.
    pub(crate) fn expiry(&self, now: UnixTime, ends: impl IntoIterator<Item = UnixTime>) -> UnixTime {
        ends.into_iter().fold(now + self.lifetime, UnixTime::min)
    }

    /// Signs an access token.
    pub(crate) async fn access_token(
        &self,
        request: &ClaimsRequest<'_>,
        terms: TokenTerms<'_>,
        now: UnixTime,
    ) -> Result<AccessToken, OAuthError> {
        let added = self.claims.claims(request).wait().await;
        let added = added.map_err(|error| match error {
            ClaimsError::Refused => match request.grant {
                GrantType::AuthorizationCode | GrantType::RefreshToken => OAuthError::invalid_grant(),
                GrantType::ClientCredentials => OAuthError::unauthorized_client(),
                GrantType::JwtBearer => OAuthError::invalid_assertion(),
                GrantType::TokenExchange => OAuthError::invalid_subject_token(),
            },
            ClaimsError::Unavailable(error) => error.into(),
        })?;
        let mut claims = terms.defaults;
        claims.extend(added.into_members());
        let id = unique_id()?;
        // RFC 9068 §2.2.
        let members = [
            ("aud", request.resource.into()),
            ("client_id", request.client_id.into()),
            ("exp", terms.expires_at.as_secs().into()),
            ("iat", now.as_secs().into()),
            ("iss", (*self.name).into()),
            ("jti", id.as_str().into()),
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
        let text = self.keys.current(now).await?.sign_jwt("at+jwt", &claims.into())?;
        let (resource, subject) = (request.resource.to_owned(), request.subject.to_owned());
        Ok(AccessToken { text, grant: request.grant, id, resource, subject })
    }
}

/// 128 random bits.
fn unique_id() -> Result<String, Unavailable> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Unavailable::new("the system's random generator"))?;
    Ok(encode(&bytes))
}
