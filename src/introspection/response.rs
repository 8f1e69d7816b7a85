//! Checks introspection responses, RFC 7662 §2.2.

use std::str;

use super::verify::ActiveToken;
use crate::{
    cache::{Failure, Outcome},
    caller::{AuthMethod, Identity},
    json::{Json, Object},
    jwt::{self, Fault, Issuer, TokenClaims as Claims},
    reason::Reason,
    time::UnixTime,
    warnings::Warnings,
};

/// The requirements on responses.
pub(super) struct ResponseRules {
    pub(super) issuer: Issuer,
    /// The accepted values of `token_type`, compared in any case (RFC 6749 §5.1).
    pub(super) token_types: Vec<Box<str>>,
    warnings: Warnings,
}

impl ResponseRules {
    pub(super) fn new(issuer: Issuer) -> Self {
        // For `DPoP`, `cnf` is required as well. Some issuers write `access_token` instead of `Bearer`.
        let token_types = ["Bearer", DPOP, "access_token"].map(Into::into).to_vec();
        Self { issuer: issuer.for_introspection(), token_types, warnings: Warnings::default() }
    }

    /// The result of a look-up with this response: an identity, a refusal, or an outage if the response is malformed.
    pub(super) fn evaluate(&self, body: &[u8], now: UnixTime) -> Outcome<ActiveToken> {
        let Ok(members) = Object::parse(body) else {
            let is_jwt = str::from_utf8(body).is_ok_and(|text| text.starts_with("ey") && jwt::is_compact(text));
            let cause = if is_jwt {
                "the response is a JWT, which needs `signed_responses`"
            } else {
                "the response is not a JSON object"
            };
            return Outcome::Down(Failure::new(Reason::INTROSPECTION_SYNTAX, cause));
        };
        match self.identity(&members, now) {
            Ok(mut identity) => {
                identity.claims = str::from_utf8(body).ok().map(Into::into);
                Outcome::Found(ActiveToken::new(identity, now))
            }
            Err(fault) => {
                fault.log();
                fault.warn(&self.warnings, self.issuer.name(), now);
                Outcome::Refused(fault.reason)
            }
        }
    }

    fn identity(&self, members: &Object<'_>, now: UnixTime) -> Result<Identity, Fault> {
        // The only required member, a boolean.
        match members.get("active") {
            Some(Json::Bool(true)) => {}
            Some(Json::Bool(false)) => return Err(Reason::TOKEN_INACTIVE.into()),
            _ => return Err(Reason::ACTIVE_TYPE.into()),
        }
        let claims = Claims::new(members);
        claims.text("iss")?;
        self.issuer.check_introspected_name(members)?;
        self.check_kind(&claims)?;
        claims.check_introspection_profile(&self.issuer)?;
        let mut identity = claims.identity(&self.issuer, AuthMethod::Introspection, now)?;
        self.issuer.limit_lifetime(&mut identity);
        let is_bound_to_key = identity.confirmation.as_ref().is_some_and(|bound| bound.key_thumbprint().is_some());
        // RFC 9449 §6.2: `cnf` contains the key. Without it, possession could not be proved.
        if claims.text("token_type")?.is_some_and(|kind| kind.eq_ignore_ascii_case(DPOP)) && !is_bound_to_key {
            return Err(Reason::CONFIRMATION.into());
        }
        Ok(identity)
    }

    /// Checks that the response describes an access token: endpoints report refresh tokens as active too (RFC 7662 §2.1).
    fn check_kind(&self, claims: &Claims<'_>) -> Result<(), Fault> {
        let is_access = match claims.text("token_type")? {
            Some(kind) => self.token_types.iter().any(|known| known.eq_ignore_ascii_case(kind)),
            None => true,
        };
        // `token_use` of Ory Hydra and Cognito; `typ` of Keycloak.
        let is_access_use = claims.text("token_use")?.is_none_or(|usage| matches!(usage, "access" | "access_token"));
        let is_other = matches!(claims.text("typ"), Ok(Some("ID" | "Logout" | "Offline" | "Refresh")));
        if is_access && is_access_use && !is_other { Ok(()) } else { Err(Reason::TOKEN_TYPE.into()) }
    }
}

/// The `token_type` of a token that is bound to a key, RFC 9449 §5.
const DPOP: &str = "DPoP";
