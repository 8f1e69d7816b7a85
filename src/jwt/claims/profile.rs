//! Distinguishes access tokens from other tokens of the same issuer.

use super::Claims;
use crate::{
    json::Json,
    jwt::{
        fault::Fault,
        issuer::{IdTokens, Issuer, Profile},
        jws::Kind,
    },
    reason::Reason,
};

impl Claims<'_> {
    /// Checks that the token is of the kind that the profile is for, and with [`Profile::Strict`] the required claims of
    /// RFC 9068 §2.2.
    pub(in crate::jwt) fn check_profile(&self, rules: &Issuer, kind: Kind) -> Result<(), Fault> {
        // RFC 8725 §3.12: no JWT is of two kinds, such as an assertion and an access token.
        let is_allowed = match rules.profile {
            Profile::ClientAssertion => matches!(kind, Kind::ClientAssertion | Kind::Unspecified),
            Profile::Common => matches!(kind, Kind::AccessToken | Kind::Unspecified),
            Profile::Grant => kind == Kind::Unspecified,
            Profile::IdentityAssertion => kind == Kind::IdentityAssertion,
            Profile::Strict => kind == Kind::AccessToken,
            // SPIFFE JWT-SVID §2.3: `JWT`, `JOSE` or absent. Only JWT-SVIDs are of type `JOSE`.
            Profile::Svid => matches!(kind, Kind::Jose | Kind::Unspecified),
        };
        if !is_allowed {
            return Err(Reason::TOKEN_TYPE.into());
        }
        if kind == Kind::Unspecified {
            self.check_signs(rules)?;
        }
        self.check_required(rules)
    }

    /// The same check for an introspection response, which has no `typ` header: whatever the profile, the token is searched
    /// for the signs of other kinds.
    #[cfg(feature = "introspection")]
    pub(crate) fn check_introspection_profile(&self, rules: &Issuer) -> Result<(), Fault> {
        self.check_signs(rules)?;
        self.check_required(rules)
    }

    /// Refuses a token whose claims show that it is of another kind, where no `typ` states the kind.
    fn check_signs(&self, rules: &Issuer) -> Result<(), Fault> {
        // RFC 8417 §2.2: security event tokens, such as logout tokens, have this claim.
        if self.get("events").and_then(Json::as_object).is_some() {
            return Err(Reason::TOKEN_TYPE.into());
        }
        let is_searched = rules.profile != Profile::Svid && rules.id_tokens == IdTokens::Refused;
        match self.id_token_sign().filter(|_| is_searched) {
            Some(sign) => Err(Fault::new(Reason::ID_TOKEN, format_args!("{sign}: a claim of ID tokens"))),
            None => Ok(()),
        }
    }

    fn check_required(&self, rules: &Issuer) -> Result<(), Fault> {
        const REQUIRED: [&str; 7] = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];
        if rules.profile == Profile::Strict
            && let Some(missing) = REQUIRED.iter().find(|name| self.is_missing(name))
        {
            return Err(Fault::new(Reason::CLAIM_REQUIRED, format_args!("{missing}: required by RFC 9068")));
        }
        if rules.needs_token_id && self.is_missing("jti") { Err(Reason::TOKEN_ID_MISSING.into()) } else { Ok(()) }
    }

    /// The claim by which an ID token can be distinguished from an access token, if there is one.
    fn id_token_sign(&self) -> Option<&'static str> {
        // OpenID Connect Core §2, §3.1.3.6, §3.3.2.11; FAPI 1.0 part 2 §5.1.1: only ID tokens have these.
        const SIGNS: [&str; 4] = ["nonce", "at_hash", "c_hash", "s_hash"];
        if let Some(sign) = SIGNS.into_iter().find(|name| self.get(name).is_some()) {
            return Some(sign);
        }
        let text = |name: &str| self.get(name).and_then(Json::as_str);
        // Keycloak and Cognito name the kind in a claim.
        if matches!(text("typ"), Some("ID" | "Logout" | "Offline" | "Refresh")) {
            return Some("typ");
        }
        if matches!(text("token_use"), Some("id" | "refresh")) {
            return Some("token_use");
        }
        if text("typ") == Some("Bearer") || text("token_use") == Some("access") {
            return None;
        }
        // The client that requested it is its only audience: OpenID Connect Core §2.
        let sole_audience = match self.get("aud")? {
            Json::String(audience) => &**audience,
            Json::Array(audiences) if audiences.len() == 1 => audiences[0].as_str()?,
            _ => return None,
        };
        (text("azp") == Some(sole_audience)).then_some("azp")
    }

    /// An empty string or list is none.
    fn is_missing(&self, name: &str) -> bool {
        match self.get(name) {
            None => true,
            Some(Json::String(text)) => text.is_empty(),
            Some(Json::Array(items)) => items.is_empty(),
            Some(_) => false,
        }
    }
}
