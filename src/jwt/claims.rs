//! Checks the claims of a token (RFC 7519 §4, RFC 9068 §2.2), and converts them to an identity.

use std::time::Duration;

use super::{
    issuer::{Actors, Issuer, OtherAudiences, Profile, Tenant},
    jws::Kind,
};
use crate::{
    caller::{Actor, AuthMethod, Confirmation, Identity},
    json::{Json, Object},
    reason::Reason,
    scope::{Scope, Scopes},
    time::UnixTime,
};

/// The claims of an authentic token: its signature was verified, or its issuer was queried.
pub(crate) struct Claims<'a> {
    members: &'a Object<'a>,
}

impl<'a> Claims<'a> {
    pub(crate) const fn new(members: &'a Object<'a>) -> Self {
        Self { members }
    }

    /// A claim that is a string. A claim of another type is an error, never treated as absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Reason> {
        match self.members.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(Reason::CLAIM_TYPE),
        }
    }

    /// The identity that the claims describe, by an issuer's rules. Times are checked first, then the audience, then the
    /// other claims.
    pub(crate) fn identity(&self, rules: &Issuer, method: AuthMethod, now: UnixTime) -> Result<Identity, Reason> {
        let times = Times::read(self)?;
        times.check(rules, now)?;
        self.check_audience(rules)?;
        for (name, value) in &rules.required {
            if self.members.get(name).and_then(Json::as_str) != Some(value) {
                return Err(Reason::CLAIM_REQUIRED);
            }
        }
        let client_id = self.client_id()?;
        let subject =
            self.text("sub")?.or(client_id).filter(|subject| !subject.is_empty()).ok_or(Reason::SUBJECT_MISSING)?;
        let roles = rules.roles.as_deref().map(|name| self.list(name)).transpose()?.unwrap_or_default();
        let scopes = self.scopes(rules);
        if scopes.len() > rules.max_grants || roles.len() > rules.max_grants {
            return Err(Reason::TOO_MANY_GRANTS);
        }
        let tier = rules.tier.as_deref().map(|name| self.configured(name)).transpose()?.flatten();
        Ok(Identity {
            acr: self.text("acr")?.map(Into::into),
            actors: self.actors(rules)?,
            auth_time: self.time("auth_time")?,
            client_id: client_id.map(Into::into),
            confirmation: self.confirmation(rules)?,
            expires_at: times.expires_at,
            issued_at: times.issued_at,
            issuer: Some(rules.name.clone()),
            roles: roles.into_iter().map(Into::into).collect(),
            scopes,
            session_id: self.text("sid")?.map(Into::into),
            skew: rules.skew,
            tenant: self.tenant(rules)?,
            tier: tier.map(Into::into),
            token_id: self.text("jti")?.map(Into::into),
            ..Identity::new(subject, method)
        })
    }

    /// Checks that the token is an access token, and with [`Profile::Strict`] the required claims of RFC 9068 §2.2.
    pub(super) fn check_profile(&self, rules: &Issuer, kind: Kind) -> Result<(), Reason> {
        const REQUIRED: [&str; 7] = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];
        let has = |name: &str| self.members.get(name).is_some();
        // RFC 8417 §2.2: security event tokens, such as logout tokens, have this claim.
        if kind == Kind::Unspecified && self.members.get("events").and_then(Json::as_object).is_some() {
            return Err(Reason::TOKEN_TYPE);
        }
        match rules.profile {
            Profile::Strict if kind != Kind::AccessToken => return Err(Reason::TOKEN_TYPE),
            Profile::Strict if !REQUIRED.iter().all(|name| has(name)) => return Err(Reason::CLAIM_REQUIRED),
            // OpenID Connect Core §2, §3.1.3.6, §3.3.2.11: only ID tokens have these.
            Profile::Common if kind == Kind::Unspecified && ["nonce", "at_hash", "c_hash"].into_iter().any(has) => {
                return Err(Reason::ID_TOKEN);
            }
            Profile::Any | Profile::Common | Profile::Strict => {}
        }
        if rules.needs_token_id && !has("jti") { Err(Reason::TOKEN_ID_MISSING) } else { Ok(()) }
    }

    /// The same check for an introspection response, which has no `typ` header: under [`strict`](Issuer::strict), the
    /// response itself states that the token is an access token.
    #[cfg(feature = "introspection")]
    pub(crate) fn check_introspection_profile(&self, rules: &Issuer) -> Result<(), Reason> {
        let kind = match rules.profile {
            Profile::Any | Profile::Common => Kind::Unspecified,
            Profile::Strict => Kind::AccessToken,
        };
        self.check_profile(rules, kind)
    }

    /// RFC 7519 §4.1.3: the audience is a string or a list of strings, compared byte for byte.
    fn check_audience(&self, rules: &Issuer) -> Result<(), Reason> {
        let Some(accepted) = &rules.audiences else { return Ok(()) };
        let is_accepted = |audience: &str| accepted.iter().any(|known| **known == *audience);
        match self.members.get(&rules.audience_claim).ok_or(Reason::AUDIENCE_MISSING)? {
            Json::String(audience) if is_accepted(audience) => Ok(()),
            Json::Array(audiences) => {
                let audiences =
                    audiences.iter().map(Json::as_str).collect::<Option<Vec<_>>>().ok_or(Reason::CLAIM_TYPE)?;
                let is_sole = audiences.len() == 1 || matches!(rules.other_audiences, OtherAudiences::Accepted);
                if is_sole && audiences.into_iter().any(is_accepted) { Ok(()) } else { Err(Reason::AUDIENCE_MISMATCH) }
            }
            Json::String(_) => Err(Reason::AUDIENCE_MISMATCH),
            _ => Err(Reason::CLAIM_TYPE),
        }
    }

    /// RFC 8693 §4.3, and the names of this claim at older issuers.
    fn client_id(&self) -> Result<Option<&'a str>, Reason> {
        for name in ["client_id", "azp", "appid", "cid"] {
            if let Some(client) = self.text(name)? {
                return Ok(Some(client));
            }
        }
        Ok(None)
    }

    /// RFC 8693 §4.1: the outermost actor is the current one; nested actors acted before it.
    fn actors(&self, rules: &Issuer) -> Result<Vec<Actor>, Reason> {
        let mut actors = Vec::new();
        let mut next = self.members.get("act");
        while let Some(actor) = next {
            let members = actor.as_object().ok_or(Reason::CLAIM_TYPE)?;
            let claims = Claims::new(members);
            let subject = claims.text("sub")?.filter(|subject| !subject.is_empty()).ok_or(Reason::ACTOR_SUBJECT)?;
            actors.push(Actor { issuer: claims.text("iss")?.map(Into::into), ..Actor::new(subject) });
            next = members.get("act");
        }
        match rules.actors {
            Actors::Denied if !actors.is_empty() => Err(Reason::ACTOR_DENIED),
            Actors::Required if actors.is_empty() => Err(Reason::ACTOR_REQUIRED),
            Actors::Accepted | Actors::Denied | Actors::Required => Ok(actors),
        }
    }

    /// RFC 7800 §3.1: a token is refused if a member of its confirmation is not understood.
    fn confirmation(&self, rules: &Issuer) -> Result<Option<Confirmation>, Reason> {
        let Some(bound) = self.members.get("cnf") else { return Ok(None) };
        let members = bound.as_object().ok_or(Reason::CONFIRMATION)?.iter().map(|(name, value)| (name, value.as_str()));
        Confirmation::parse(members, &rules.ignored_confirmations).map(Some).map_err(|_| Reason::CONFIRMATION)
    }

    /// The union of the configured scope claims, each a string or a list of strings. A claim of another type, or a text that
    /// is not a scope token of RFC 6749 §3.3, grants nothing.
    fn scopes(&self, rules: &Issuer) -> Scopes {
        let claims = rules.scopes.iter().filter_map(|name| self.members.get(name));
        let texts = claims.flat_map(|claim| match claim {
            Json::String(text) => vec![&**text],
            Json::Array(items) => items.iter().map(Json::as_str).collect::<Option<_>>().unwrap_or_default(),
            _ => Vec::new(),
        });
        texts.flat_map(|text| text.split(' ')).filter_map(|token| Scope::parse(token).ok()).collect()
    }

    fn tenant(&self, rules: &Issuer) -> Result<Option<Box<str>>, Reason> {
        match &rules.tenant {
            Tenant::None => Ok(None),
            Tenant::Fixed(tenant) => Ok(Some(tenant.clone())),
            // Without a tenant, an application might treat the caller as one with access to all tenants.
            Tenant::Claim(name) => self.configured(name)?.map(Into::into).map(Some).ok_or(Reason::TENANT_MISSING),
        }
    }

    /// The claim at a configured place: a name, or a JSON pointer (RFC 6901) if it begins with a slash.
    fn at(&self, place: &str) -> Option<&'a Json<'a>> {
        let Some(pointer) = place.strip_prefix('/') else { return self.members.get(place) };
        let mut names = pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~"));
        let first = self.members.get(&names.next()?)?;
        names.try_fold(first, |value, name| value.as_object()?.get(&name))
    }

    /// A claim at a configured place that is a string and not empty.
    fn configured(&self, place: &str) -> Result<Option<&'a str>, Reason> {
        match self.at(place) {
            None => Ok(None),
            Some(value) => value.as_str().filter(|text| !text.is_empty()).map(Some).ok_or(Reason::CLAIM_TYPE),
        }
    }

    /// A claim at a configured place that is a string or a list of strings.
    fn list(&self, place: &str) -> Result<Vec<&'a str>, Reason> {
        match self.at(place) {
            None => Ok(Vec::new()),
            Some(Json::String(text)) => Ok(vec![text]),
            Some(value) => {
                let items = value.as_array().ok_or(Reason::CLAIM_TYPE)?;
                items.iter().map(|item| item.as_str().ok_or(Reason::CLAIM_TYPE)).collect()
            }
        }
    }

    /// RFC 7519 §2: seconds since the epoch; a fraction is rounded up.
    pub(crate) fn time(&self, name: &str) -> Result<Option<UnixTime>, Reason> {
        let Some(value) = self.members.get(name) else { return Ok(None) };
        let Json::Number(number) = value else { return Err(Reason::CLAIM_TYPE) };
        if let Some(seconds) = number.as_u64() {
            return Ok(Some(UnixTime::from_secs(seconds)));
        }
        // Larger numbers are not plausible times, and would not fit.
        let seconds = number.as_f64().map(f64::ceil).filter(|seconds| (0.0..=1e15).contains(seconds));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
        seconds.map(|seconds| Some(UnixTime::from_secs(seconds as u64))).ok_or(Reason::CLAIM_TYPE)
    }
}

struct Times {
    expires_at: Option<UnixTime>,
    issued_at: Option<UnixTime>,
    not_before: Option<UnixTime>,
}

impl Times {
    fn read(claims: &Claims<'_>) -> Result<Self, Reason> {
        Ok(Self { expires_at: claims.time("exp")?, issued_at: claims.time("iat")?, not_before: claims.time("nbf")? })
    }

    /// RFC 7519 §4.1.4 to §4.1.6. A token that expired `skew` ago is refused; a token that becomes valid in `skew` is
    /// accepted.
    fn check(&self, rules: &Issuer, now: UnixTime) -> Result<(), Reason> {
        let expires_at = match self.expires_at {
            Some(expires_at) => expires_at,
            None if rules.needs_expiry => return Err(Reason::EXPIRY_MISSING),
            None => now + Duration::from_secs(1),
        };
        if expires_at + rules.skew <= now {
            return Err(Reason::EXPIRED);
        }
        if self.not_before.is_some_and(|not_before| now + rules.skew < not_before) {
            return Err(Reason::NOT_YET_VALID);
        }
        if self.issued_at.is_some_and(|issued_at| now + rules.skew < issued_at) {
            return Err(Reason::ISSUED_IN_FUTURE);
        }
        if self.issued_at.unwrap_or(now) + rules.max_lifetime < expires_at {
            return Err(Reason::LIFETIME);
        }
        Ok(())
    }
}
