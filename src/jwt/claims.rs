//! What a token claims, RFC 7519 §4, RFC 9068 §2.2: checked, and made an identity.

use std::time::Duration;

use super::{
    issuer::{Actors, Issuer, OtherAudiences, Profile, Tenant},
    jws::Kind,
};
use crate::{
    caller::Confirmation,
    caller::{Actor, AuthMethod, Identity},
    json::{Json, Object},
    reason::Reason,
    scope::{Scope, Scopes},
    time::UnixTime,
};

/// The claims of a token whose origin is settled: a signature was verified, or the issuer was asked.
pub(crate) struct Claims<'a> {
    members: &'a Object<'a>,
}

impl<'a> Claims<'a> {
    pub(crate) const fn new(members: &'a Object<'a>) -> Self {
        Self { members }
    }

    /// A claim that is text; one of another type is refused, never taken for absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Reason> {
        match self.members.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(Reason::CLAIM_TYPE),
        }
    }

    /// The identity that the claims make by an issuer's rules. Time first, then audience, then the rest.
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
        let tier = rules.tier.as_deref().map(|name| self.declared(name)).transpose()?.flatten();
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
            scopes: self.scopes(rules),
            session_id: self.text("sid")?.map(Into::into),
            skew: rules.skew,
            tenant: self.tenant(rules)?,
            tier: tier.map(Into::into),
            token_id: self.text("jti")?.map(Into::into),
            ..Identity::new(subject, method)
        })
    }

    /// What RFC 9068 §2.2 demands, and what tells an access token from others.
    pub(super) fn check_profile(&self, rules: &Issuer, kind: Kind) -> Result<(), Reason> {
        const REQUIRED: [&str; 7] = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];
        let has = |name: &str| self.members.get(name).is_some();
        // RFC 8417 §2.2: what tells a security event token, such as a logout token, from others.
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

    /// The same of the answer of an issuer that was asked, in which there is no `typ` of a header: under
    /// [`strict`](Issuer::strict) it is the issuer who says that it is about an access token.
    #[cfg(feature = "introspection")]
    pub(crate) fn check_answer(&self, rules: &Issuer) -> Result<(), Reason> {
        let kind = match rules.profile {
            Profile::Any | Profile::Common => Kind::Unspecified,
            Profile::Strict => Kind::AccessToken,
        };
        self.check_profile(rules, kind)
    }

    /// RFC 7519 §4.1.3: a string or a list of them, compared as they stand.
    fn check_audience(&self, rules: &Issuer) -> Result<(), Reason> {
        let Some(accepted) = &rules.audiences else { return Ok(()) };
        let is_ours = |audience: &str| accepted.iter().any(|ours| **ours == *audience);
        match self.members.get(&rules.audience_claim).ok_or(Reason::AUDIENCE_MISSING)? {
            Json::String(audience) if is_ours(audience) => Ok(()),
            Json::Array(audiences) => {
                let mut audiences =
                    audiences.iter().map(Json::as_str).collect::<Option<Vec<_>>>().ok_or(Reason::CLAIM_TYPE)?;
                let is_sole = audiences.len() == 1 || matches!(rules.other_audiences, OtherAudiences::Accepted);
                if is_sole && audiences.drain(..).any(is_ours) { Ok(()) } else { Err(Reason::AUDIENCE_MISMATCH) }
            }
            Json::String(_) => Err(Reason::AUDIENCE_MISMATCH),
            _ => Err(Reason::CLAIM_TYPE),
        }
    }

    /// RFC 8693 §4.3, and how it is called by issuers that are older.
    fn client_id(&self) -> Result<Option<&'a str>, Reason> {
        for name in ["client_id", "azp", "appid", "cid"] {
            if let Some(client) = self.text(name)? {
                return Ok(Some(client));
            }
        }
        Ok(None)
    }

    /// RFC 8693 §4.1: the outermost one counts, those inside tell who acted before.
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

    /// RFC 7800 §3.1: what a token is bound to is understood, or the token is refused.
    fn confirmation(&self, rules: &Issuer) -> Result<Option<Confirmation>, Reason> {
        let Some(bound) = self.members.get("cnf") else { return Ok(None) };
        let members = bound.as_object().ok_or(Reason::CONFIRMATION)?.iter().map(|(name, value)| (name, value.as_str()));
        Confirmation::parse(members, &rules.ignored_confirmations).map(Some).map_err(|_| Reason::CONFIRMATION)
    }

    /// The union of all claims that may hold scopes, each a text or a list of texts. What is neither, or no scope token of
    /// RFC 6749 §3.3, grants nothing.
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
            // A caller without a tenant may be one that may see them all.
            Tenant::Claim(name) => self.declared(name)?.map(Into::into).map(Some).ok_or(Reason::TENANT_MISSING),
        }
    }

    /// A claim whose place was declared: a name, or with a slash in front a JSON pointer, RFC 6901.
    fn at(&self, place: &str) -> Option<&'a Json<'a>> {
        let Some(pointer) = place.strip_prefix('/') else { return self.members.get(place) };
        let mut names = pointer.split('/').map(|name| name.replace("~1", "/").replace("~0", "~"));
        let first = self.members.get(&names.next()?)?;
        names.try_fold(first, |value, name| value.as_object()?.get(&name))
    }

    fn declared(&self, place: &str) -> Result<Option<&'a str>, Reason> {
        match self.at(place) {
            None => Ok(None),
            Some(value) => value.as_str().filter(|text| !text.is_empty()).map(Some).ok_or(Reason::CLAIM_TYPE),
        }
    }

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

    /// RFC 7519 §2: seconds since the epoch, maybe with a fraction, which is rounded up.
    pub(crate) fn time(&self, name: &str) -> Result<Option<UnixTime>, Reason> {
        let Some(value) = self.members.get(name) else { return Ok(None) };
        let Json::Number(number) = value else { return Err(Reason::CLAIM_TYPE) };
        if let Some(seconds) = number.as_u64() {
            return Ok(Some(UnixTime::from_secs(seconds)));
        }
        // Larger ones are no times, and do not fit.
        let seconds = number.as_f64().map(f64::ceil).filter(|seconds| (0.0..=1e15).contains(seconds));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was looked at")]
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

    /// RFC 7519 §4.1.4 to §4.1.6. A token that ended `skew` ago is refused, one that begins in `skew` is not.
    fn check(&self, rules: &Issuer, now: UnixTime) -> Result<(), Reason> {
        let ends = match self.expires_at {
            Some(ends) => ends,
            None if rules.needs_expiry => return Err(Reason::EXPIRY_MISSING),
            None => now + Duration::from_secs(1),
        };
        if ends + rules.skew <= now {
            return Err(Reason::EXPIRED);
        }
        if self.not_before.is_some_and(|begins| now + rules.skew < begins) {
            return Err(Reason::NOT_YET_VALID);
        }
        if self.issued_at.is_some_and(|issued| now + rules.skew < issued) {
            return Err(Reason::ISSUED_IN_FUTURE);
        }
        if self.issued_at.unwrap_or(now) + rules.max_lifetime < ends {
            return Err(Reason::LIFETIME);
        }
        Ok(())
    }
}
