//! The parties that act for a subject: `act` and `may_act`, RFC 8693 §4.1 and §4.4.

use serde_json::{Map, Value};
use tower_warden::{Identity, caller::Actor};

/// The longest chain of actors in a token.
pub(super) const MAX_ACTORS: usize = 8;

/// The parties that act for the subject of a token.
pub(super) struct Delegation {
    /// The current actor first. Those that the token names without an issuer are of its own issuer.
    pub(super) actors: Vec<Actor>,
    pub(super) may_act: Option<MayAct>,
}

impl Delegation {
    /// Reads the claims of a token; `None` if no token may be issued for it.
    pub(super) fn read(identity: &Identity, own_name: &str) -> Option<Self> {
        let claims: Map<String, Value> = serde_json::from_str(identity.claims.as_deref()?).ok()?;
        // RFC 9396 §2: they limit the token, and the new one would not have these limits.
        if claims.contains_key("authorization_details") {
            return None;
        }
        let actors = identity.actors.iter().map(|actor| named(actor, identity, own_name)).collect::<Option<_>>()?;
        Some(Self { actors, may_act: MayAct::read(&claims, identity).ok()? })
    }
}

/// The party that may become the actor.
pub(crate) struct MayAct {
    client_id: Option<String>,
    issuer: String,
    subject: Option<String>,
}

/// An actor of this issuer.
#[derive(Clone, Copy)]
pub(super) struct Party<'a> {
    pub(super) client_id: &'a str,
    pub(super) issuer: &'a str,
    pub(super) subject: &'a str,
}

impl MayAct {
    /// Reads the claim of a token. A claim that is not understood as a whole is an error: to ignore a member would permit more.
    fn read(claims: &Map<String, Value>, identity: &Identity) -> Result<Option<Self>, ()> {
        let Some(value) = claims.get("may_act") else { return Ok(None) };
        let mut named =
            Self { client_id: None, issuer: identity.issuer.as_deref().ok_or(())?.to_owned(), subject: None };
        for (name, value) in value.as_object().ok_or(())? {
            let text = value.as_str().filter(|text| !text.is_empty()).ok_or(())?.to_owned();
            match &**name {
                "client_id" => named.client_id = Some(text),
                "iss" => named.issuer = text,
                "sub" => named.subject = Some(text),
                _ => return Err(()),
            }
        }
        if named.client_id.is_none() && named.subject.is_none() { Err(()) } else { Ok(Some(named)) }
    }

    pub(super) fn permits(&self, party: &Party<'_>) -> bool {
        self.issuer == party.issuer
            && self.client_id.as_deref().is_none_or(|id| id == party.client_id)
            && self.subject.as_deref().is_none_or(|subject| subject == party.subject)
    }

    /// The claim of a token of this issuer.
    pub(crate) fn to_claim(&self, own_name: &str) -> Value {
        let issuer = Some(&self.issuer).filter(|issuer| **issuer != *own_name);
        let members = [("client_id", self.client_id.as_ref()), ("iss", issuer), ("sub", self.subject.as_ref())];
        let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.as_str().into())));
        Value::Object(members.collect())
    }
}

/// An actor of a token with its issuer, if that is not this one; `None` if the token may not name it.
fn named(actor: &Actor, identity: &Identity, own_name: &str) -> Option<Actor> {
    let issuer = actor.issuer.as_deref().or(identity.issuer.as_deref());
    let is_own = issuer == Some(own_name);
    // Another issuer cannot vouch for a party of this one.
    if is_own && identity.issuer.as_deref() != Some(own_name) {
        return None;
    }
    let mut named = Actor::new(&*actor.subject);
    named.issuer = issuer.filter(|_| !is_own).map(Into::into);
    Some(named)
}

/// The claim `act`; `None` if the subject acts itself.
pub(crate) fn act(actors: &[Actor]) -> Option<Value> {
    actors.iter().rev().fold(None, |before, actor| {
        let issuer = actor.issuer.as_deref().map(Value::from);
        let members = [("act", before), ("iss", issuer), ("sub", Some((*actor.subject).into()))];
        Some(
            members
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect::<Map<_, _>>()
                .into(),
        )
    })
}
