//! What an endpoint says of a token, RFC 7662 §2.2: checked here all the same.

use std::{str, sync::Arc};

use super::verify::Active;
use crate::{
    cache::Outcome,
    caller::{AuthMethod, Identity},
    json::{Json, Object},
    jwt::{Issuer, TokenClaims as Claims},
    log,
    reason::Reason,
    time::UnixTime,
};

/// What an answer has to be like.
pub(super) struct Rules {
    pub(super) issuer: Issuer,
    /// Compared in any case, RFC 6749 §5.1.
    pub(super) token_types: Vec<Box<str>>,
}

impl Rules {
    pub(super) fn new(issuer: Issuer) -> Self {
        // Of the second one's members `cnf` tells more; the third is what some issuers say instead of the first.
        let token_types = ["Bearer", DPOP, "access_token"].map(Into::into).to_vec();
        Self { issuer: issuer.with_optional_expiry(), token_types }
    }

    /// What an answer comes to: an identity, a refusal, or nothing that could be understood.
    pub(super) fn judge(&self, body: &[u8], now: UnixTime) -> Outcome<Active> {
        let Ok(members) = Object::parse(body) else {
            log::warning!("an introspection endpoint answers with no JSON object; the request is answered with 503");
            return Outcome::Down(Reason::INTROSPECTION_SYNTAX);
        };
        match self.identity(&members, now) {
            Ok(mut identity) => {
                identity.claims = str::from_utf8(body).ok().map(Into::into);
                Outcome::Found(Active(Arc::new(identity)))
            }
            Err(reason) => Outcome::Refused(reason),
        }
    }

    fn identity(&self, members: &Object<'_>, now: UnixTime) -> Result<Identity, Reason> {
        // The one member that must be there, and a boolean.
        match members.get("active") {
            Some(Json::Bool(true)) => {}
            Some(Json::Bool(false)) => return Err(Reason::TOKEN_INACTIVE),
            _ => return Err(Reason::ACTIVE_TYPE),
        }
        let claims = Claims::new(members);
        if claims.text("iss")?.is_some_and(|name| name != self.issuer.name()) {
            return Err(Reason::ISSUER_MISMATCH);
        }
        self.check_kind(&claims)?;
        claims.check_answer(&self.issuer)?;
        let identity = claims.identity(&self.issuer, AuthMethod::Introspection, now)?;
        let is_bound_to_key = identity.confirmation.as_ref().is_some_and(|bound| bound.key_thumbprint().is_some());
        // RFC 9449 §6.2: to which key is in `cnf`. Without, nobody could prove to hold it.
        if claims.text("token_type")?.is_some_and(|kind| kind.eq_ignore_ascii_case(DPOP)) && !is_bound_to_key {
            return Err(Reason::CONFIRMATION);
        }
        Ok(identity)
    }

    /// Whether it is about an access token: endpoints are asked about refresh tokens too (RFC 7662 §2.1), and those are as
    /// active.
    fn check_kind(&self, claims: &Claims<'_>) -> Result<(), Reason> {
        let is_access = match claims.text("token_type")? {
            Some(kind) => self.token_types.iter().any(|known| known.eq_ignore_ascii_case(kind)),
            None => true,
        };
        // How Ory Hydra and Cognito, and how Keycloak tell them apart.
        let is_used_so = claims.text("token_use")?.is_none_or(|usage| matches!(usage, "access" | "access_token"));
        let is_other = matches!(claims.text("typ"), Ok(Some("ID" | "Logout" | "Offline" | "Refresh")));
        if is_access && is_used_so && !is_other { Ok(()) } else { Err(Reason::TOKEN_TYPE) }
    }
}

/// The `token_type` of a token that is bound to a key, RFC 9449 §5.
const DPOP: &str = "DPoP";
