//! The values of one request by which a limit distinguishes callers.

use std::{borrow::Cow, fmt, num::NonZeroU32, sync::Arc};

use http::Extensions;

use super::{
    address::{AddressedKey, forwarded},
    limit_key::LimitKey,
};
#[cfg(feature = "jwt")]
use crate::json::Json;
use crate::{
    caller::{self, AuthMethod, Principal},
    refusal::{Rejection, RejectionKind},
    request::Head,
};

/// A property of a request or its caller.
#[derive(Clone)]
pub(super) enum Property {
    ClientAddress,
    #[cfg(feature = "jwt")]
    Claim(Box<str>),
    Client,
    Forwarded(NonZeroU32),
    Global,
    Key,
    Metadata(Box<str>),
    Peer,
    Principal,
    Route,
    Tenant,
    With(Arc<dyn Fn(&Head<'_>, &mut LimitKey) -> Result<(), Rejection> + Send + Sync>),
}

impl Property {
    /// Pushes the value of a request.
    pub(super) fn push(&self, head: &Head<'_>, to: &mut AddressedKey<'_>) -> Result<(), Rejection> {
        let key = &mut *to.key;
        match self {
            Self::ClientAddress => to.push_address_or_peer(head, head.client_address())?,
            #[cfg(feature = "jwt")]
            Self::Claim(name) => {
                key.push("claim", &**name);
                push_of(to, head, "value", |caller| claim(caller, name))?;
            }
            Self::Client => push_of(to, head, "client", |caller| caller.client_id().map(Cow::Borrowed))?,
            Self::Forwarded(hops) => to.push_address_or_peer(head, forwarded(head, *hops))?,
            Self::Global => key.push("global", ""),
            Self::Key => {
                let method = head.extensions.get::<Principal>().map(Principal::method);
                let kind = if method == Some(AuthMethod::Signature) { "signature key" } else { "key" };
                push_of(to, head, kind, |caller| caller.key_id().map(Cow::Borrowed))?;
            }
            Self::Metadata(name) => {
                key.push("metadata", &**name);
                push_of(to, head, "value", |caller| caller.metadata_value(name).map(Cow::Borrowed))?;
            }
            Self::Peer => to.push_address_or_peer(head, None)?,
            Self::Principal => push_of(to, head, "principal", |_| None)?,
            Self::Route => match route(head.extensions) {
                Some(route) => key.push("route", route),
                None => key.push("no route", ""),
            },
            Self::Tenant => {
                if let Some(caller) = caller_or_push_address(to, head)? {
                    // With its own issuer: the tenant may be that of the subject that the caller acts for.
                    let member = caller.member_of_tenant();
                    push_origin(to.key, member);
                    if member.own_tenant().is_none() {
                        to.key.push("subject", member.subject());
                    }
                }
            }
            Self::With(push) => push(head, key)?,
        }
        Ok(())
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientAddress => "ClientAddress",
            #[cfg(feature = "jwt")]
            Self::Claim(_) => "Claim",
            Self::Client => "Client",
            Self::Forwarded(_) => "Forwarded",
            Self::Global => "Global",
            Self::Key => "Key",
            Self::Metadata(_) => "Metadata",
            Self::Peer => "Peer",
            Self::Principal => "Principal",
            Self::Route => "Route",
            Self::Tenant => "Tenant",
            Self::With(_) => "With(..)",
        })
    }
}

/// Pushes a property of the caller; the caller itself if it lacks the property; the address of the client without
/// a credential.
fn push_of<'a>(
    to: &mut AddressedKey<'_>,
    head: &Head<'a>,
    kind: &str,
    part: impl Fn(&'a Principal) -> Option<Cow<'a, str>>,
) -> Result<(), Rejection> {
    if let Some(caller) = caller_or_push_address(to, head)? {
        push_origin(to.key, caller);
        match part(caller) {
            Some(part) => to.key.push(kind, &*part),
            None => to.key.push("subject", caller.subject()),
        }
    }
    Ok(())
}

/// Returns the caller, or pushes the address of the client if the request has no credential.
fn caller_or_push_address<'a>(to: &mut AddressedKey<'_>, head: &Head<'a>) -> Result<Option<&'a Principal>, Rejection> {
    match caller::of(head.extensions) {
        Ok(caller) => Ok(Some(caller)),
        Err(rejection) if rejection.kind() == RejectionKind::Missing => {
            to.push_address_or_peer(head, head.client_address())?;
            Ok(None)
        }
        Err(rejection) => Err(rejection),
    }
}

/// Pushes the issuer and the tenant of the caller: two issuers can use the same names, and so can two tenants, which may
/// choose the owners and the metadata of their keys.
fn push_origin(key: &mut LimitKey, caller: &Principal) {
    for (kind, part) in [("issuer", caller.issuer()), ("tenant", caller.own_tenant())] {
        if let Some(part) = part {
            key.push(kind, part);
        }
    }
}

/// The value of a claim that is a string or a number.
#[cfg(feature = "jwt")]
fn claim<'a>(caller: &'a Principal, name: &str) -> Option<Cow<'a, str>> {
    let Json::Object(claims) = Json::parse(caller.claims()?.as_bytes()).ok()? else { return None };
    match claims.get(name)? {
        Json::Number(number) => Some(Cow::Owned(number.to_string())),
        Json::String(text) => Some(text.clone()),
        Json::Array(_) | Json::Bool(_) | Json::Null | Json::Object(_) => None,
    }
}

#[cfg(feature = "axum")]
fn route(extensions: &Extensions) -> Option<&str> {
    extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str)
}

#[cfg(not(feature = "axum"))]
const fn route(_: &Extensions) -> Option<&str> {
    None
}
