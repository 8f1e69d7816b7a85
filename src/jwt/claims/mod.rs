//! Checks the claims of a token (RFC 7519 §4, RFC 9068 §2.2), and converts them to an identity.

use std::borrow::Cow;

pub(crate) use self::read::Claims;
use self::{read::informative, times::Times};
use super::{
    fault::{Fault, OneOf},
    issuer::{Actors, Issuer, IssuerName, OtherAudiences, Presence, SubjectFallback, Tenant},
    key::VerifyingKey,
};
use crate::{
    caller::{Actor, AuthMethod, Confirmation, ConfirmationMethod, Identity},
    json::Json,
    reason::Reason,
    scope::{Scope, Scopes},
    time::UnixTime,
};

mod profile;
mod read;
mod times;

impl<'a> Claims<'a> {
    /// The identity that the claims describe, by an issuer's rules. Times are checked first, then the audience, then the
    /// other claims.
    pub(crate) fn identity(&self, rules: &Issuer, method: AuthMethod, now: UnixTime) -> Result<Identity, Fault> {
        let times = Times::read(self, rules)?;
        times.check(rules, now)?;
        let audience = self.check_audience(rules)?;
        self.check_rules(rules)?;
        let client_id = self.client_id(rules)?;
        let subject = self.subject(rules, client_id.as_deref())?;
        let roles = rules.roles.as_deref().map(|place| self.roles(place)).transpose()?.unwrap_or_default();
        let scopes = self.scopes(rules);
        if scopes.len() > rules.max_grants || roles.len() > rules.max_grants {
            return Err(Reason::TOO_MANY_GRANTS.into());
        }
        let tier = rules.tier.as_deref().map(|place| self.configured(place, rules.ids)).transpose()?.flatten();
        let id = |name| self.id(name, rules.ids).map(|id| id.map(Into::into));
        Ok(Identity {
            acr: informative(self.text("acr")).map(Into::into),
            actors: self.actors(rules)?,
            audience: audience.map(Into::into),
            auth_time: informative(self.time("auth_time")),
            client_id: client_id.map(Into::into),
            confirmation: self.confirmation(rules)?,
            expires_at: times.expires_at,
            issued_at: times.issued_at,
            issuer: Some(rules.name.of_token(self.members).unwrap_or_else(|| rules.name()).into()),
            roles: roles.into_iter().map(Into::into).collect(),
            scopes,
            session_id: id("sid")?,
            skew: rules.tolerance(),
            tenant: self.tenant(rules)?,
            tier: tier.map(Into::into),
            token_id: id("jti")?,
            ..Identity::new(subject, method)
        })
    }

    /// Returns whether the claims meet the rules that tell the tokens of one issuer apart: the kind, the audience, and the
    /// claims that are required.
    pub(super) fn fits(&self, rules: &Issuer, kind: super::jws::Kind) -> bool {
        self.check_profile(rules, kind).is_ok() && self.check_audience(rules).is_ok() && self.check_rules(rules).is_ok()
    }

    /// RFC 7519 §4.1.3: the audience is a string or a list of strings, compared byte for byte. Returns the one that is
    /// accepted.
    fn check_audience(&self, rules: &Issuer) -> Result<Option<&'a str>, Fault> {
        let claim = &*rules.audience_claim;
        let value = self.get(claim);
        let Some(accepted) = &rules.audiences else {
            return Ok(value.and_then(|value| value.as_str().or_else(|| value.as_array()?.first()?.as_str())));
        };
        let is_accepted = |audience: &&str| accepted.iter().any(|known| **known == **audience);
        let refused = |reason| Fault::mismatch(reason, claim, OneOf(accepted), value);
        let of_wrong_type = |value| Fault::claim_type(claim, "a string or a list of strings", value);
        match value {
            None => Err(refused(Reason::AUDIENCE_MISSING)),
            Some(Json::String(audience)) => {
                Some(&**audience).filter(is_accepted).map(Some).ok_or_else(|| refused(Reason::AUDIENCE_MISMATCH))
            }
            Some(list @ Json::Array(audiences)) => {
                let audiences = audiences.iter().map(Json::as_str).collect::<Option<Vec<_>>>();
                let audiences = audiences.ok_or_else(|| of_wrong_type(list))?;
                let are_ours =
                    matches!(rules.other_audiences, OtherAudiences::Accepted) || audiences.iter().all(is_accepted);
                let audience = audiences.into_iter().find(is_accepted).filter(|_| are_ours);
                audience.map(Some).ok_or_else(|| refused(Reason::AUDIENCE_MISMATCH))
            }
            Some(value) => Err(of_wrong_type(value)),
        }
    }

    /// The requirements on single claims, and the placeholder of a template.
    fn check_rules(&self, rules: &Issuer) -> Result<(), Fault> {
        for rule in &rules.checked {
            let value = self.at(&rule.place).map_err(|fault| fault.with_reason(Reason::CLAIM_REQUIRED))?;
            let is_met = value.is_none() && rule.presence == Presence::Optional || rule.expected.is_met(value);
            if !is_met {
                return Err(Fault::mismatch(Reason::CLAIM_REQUIRED, &rule.place, &rule.expected, value));
            }
        }
        if let IssuerName::Template(template) = &rules.name
            && let Some((claim, form)) = &rules.template_claim
        {
            let named = self.text("iss")?.and_then(|issuer| template.value_in(issuer));
            let expected = named.map(|value| form.filled(value));
            if expected.is_none() || self.get(claim).and_then(Json::as_str) != expected.as_deref() {
                let expected = expected.unwrap_or_default();
                return Err(Fault::mismatch(Reason::CLAIM_REQUIRED, claim, OneOf(&[expected]), self.get(claim)));
            }
        }
        Ok(())
    }

    /// RFC 8725 §3.8: the issuers of a template share a key set, in which a key may be that of one of them. Entra ID names it in
    /// the member `issuer` of the JWK, and writes `{tenantid}` for any tenant.
    pub(super) fn check_key_issuer(&self, rules: &Issuer, key: &VerifyingKey) -> Result<(), Fault> {
        if let IssuerName::Template(template) = &rules.name
            && let Some(named) = key.issuer()
        {
            let issuer = self.text("iss")?.unwrap_or_default();
            let expected = named.replace("{tenantid}", template.value_in(issuer).unwrap_or_default());
            if expected != issuer {
                return Err(Fault::mismatch(Reason::KEY_ISSUER, "iss", OneOf(&[expected]), self.get("iss")));
            }
        }
        Ok(())
    }

    /// RFC 8693 §4.3, and the names of this claim at older issuers.
    fn client_id(&self, rules: &Issuer) -> Result<Option<Cow<'a, str>>, Fault> {
        for name in ["client_id", "azp", "appid", "cid"] {
            if let Some(client) = self.id(name, rules.ids)? {
                return Ok(Some(client));
            }
        }
        Ok(None)
    }

    /// RFC 9068 §2.2: `sub`, or else the claims that the rules name; the client only if they say so.
    fn subject(&self, rules: &Issuer, client_id: Option<&str>) -> Result<Box<str>, Fault> {
        let configured = rules.subject.claims.as_deref();
        let default = ["sub".into()];
        let places = configured.unwrap_or(&default);
        for place in places {
            if let Some(subject) = self.id(place, rules.ids)? {
                return Ok(subject.into());
            }
        }
        match (rules.subject.fallback, client_id) {
            (SubjectFallback::Client, Some(client)) => Ok(client.into()),
            _ => {
                let client = client_id.map_or("none", |_| "named");
                let explanation = format_args!("{}: missing or empty; client: {client}", OneOf(places));
                Err(Fault::new(Reason::SUBJECT_MISSING, explanation))
            }
        }
    }

    /// RFC 8693 §4.1: the outermost actor is the current one; nested actors acted before it.
    fn actors(&self, rules: &Issuer) -> Result<Vec<Actor>, Fault> {
        let mut actors = Vec::new();
        // `null` is not the same as none here: without an actor, the subject itself would be the caller.
        let mut next = self.members.get("act");
        while let Some(actor) = next {
            let members = actor.as_object().ok_or_else(|| Fault::claim_type("act", "an object", actor))?;
            let claims = Claims::new(members);
            let subject = claims.text("sub")?.filter(|subject| !subject.is_empty()).ok_or(Reason::ACTOR_SUBJECT)?;
            actors.push(Actor { issuer: claims.text("iss")?.map(Into::into), ..Actor::new(subject) });
            next = members.get("act");
        }
        match rules.actors {
            Actors::Denied if !actors.is_empty() => Err(Reason::ACTOR_DENIED.into()),
            Actors::Required if actors.is_empty() => Err(Reason::ACTOR_REQUIRED.into()),
            Actors::Accepted | Actors::Denied | Actors::Required => Ok(actors),
        }
    }

    /// RFC 7800 §3.1: a token is refused if a member of its confirmation is not understood. `null` is not the same as none: it
    /// would make a bound token an unbound one.
    fn confirmation(&self, rules: &Issuer) -> Result<Option<Confirmation>, Fault> {
        let Some(bound) = self.members.get("cnf") else { return Ok(None) };
        let members = bound.as_object().ok_or(Reason::CONFIRMATION)?;
        let ignored = &rules.ignored_confirmations;
        let is_ignored = |name: &str| {
            let is_own =
                [ConfirmationMethod::CERTIFICATE, ConfirmationMethod::KEY].iter().any(|own| own.as_str() == name);
            !is_own && ignored.iter().any(|other| **other == *name)
        };
        let mut names = members.iter().map(|(name, _)| name).peekable();
        if names.peek().is_some() && names.all(is_ignored) {
            return Ok(None);
        }
        let texts = members.iter().map(|(name, value)| (name, value.as_str()));
        Confirmation::parse(texts, ignored).map(Some).map_err(|_| {
            let names: Vec<_> = members.iter().map(|(name, _)| name).collect();
            Fault::new(Reason::CONFIRMATION, format_args!("cnf: received the members {}", OneOf(&names)))
        })
    }

    /// The union of the configured scope claims, each a string of scopes or a list of strings that are one scope each. A
    /// claim of another type, or a text that is not a scope token of RFC 6749 §3.3, grants nothing.
    fn scopes(&self, rules: &Issuer) -> Scopes {
        let claims = rules.scopes.iter().filter_map(|name| Some((&**name, self.get(name)?)));
        let tokens = claims.flat_map(|(name, claim)| match claim {
            Json::String(text) if matches!(name, "scope" | "scp" | "scopes") => text.split(' ').collect(),
            // A text with a space is a name of something else, such as a group: its words are not scopes. Some issuers write
            // a list of one text as that text.
            Json::String(text) => vec![&**text],
            Json::Array(items) => items.iter().map(Json::as_str).collect::<Option<Vec<_>>>().unwrap_or_default(),
            _ => Vec::new(),
        });
        tokens.filter_map(|token| Scope::parse(token).ok()).collect()
    }

    fn tenant(&self, rules: &Issuer) -> Result<Option<Box<str>>, Fault> {
        match &rules.tenant {
            Tenant::None => Ok(None),
            Tenant::Fixed(tenant) => Ok(Some(tenant.clone())),
            // Without a tenant, an application might treat the caller as one with access to all tenants.
            Tenant::Claim(place) => {
                let tenant = self.configured(place, rules.ids)?;
                tenant.map(|tenant| Some(tenant.into())).ok_or_else(|| Reason::TENANT_MISSING.into())
            }
        }
    }
}
