//! The parties that act for a subject: `act` and `may_act`, RFC 8693 §4.1 and §4.4.

use serde_json::{Map, Value};
use tower_warden::{Identity, caller::Actor};

/// The longest chain of actors in a token.
pub(super) const MAX_ACTORS: usize = 8;

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
    pub(super) fn read(identity: &Identity) -> Result<Option<Self>, ()> {
        let claims: Map<String, Value> = serde_json::from_str(identity.claims.as_deref().ok_or(())?).map_err(|_| ())?;
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

/// The actors of a token, the current one first. Those that it names without an issuer are of its own issuer.
pub(super) fn actors_of(identity: &Identity, own_name: &str) -> Vec<Actor> {
    let named = |actor: &Actor| {
        let issuer = actor.issuer.as_deref().or(identity.issuer.as_deref());
        let mut named = Actor::new(&*actor.subject);
        named.issuer = issuer.filter(|issuer| *issuer != own_name).map(Into::into);
        named
    };
    identity.actors.iter().map(named).collect()
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
