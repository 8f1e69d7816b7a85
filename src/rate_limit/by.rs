//! What tells callers apart.

use std::{borrow::Cow, fmt, net::IpAddr, num::NonZeroUsize, sync::Arc};

use http::Extensions;

use super::key::LimitKey;
#[cfg(feature = "jwt")]
use crate::json::Json;
use crate::{
    caller::{self, Principal},
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
};

/// What tells callers apart: those for whom it is the same share a quota.
///
/// Whatever is missing does not free from being counted:
///
/// 1. [`principal`](Self::principal) and all that is told of one (tenant, client, key, metadata, claim) stand inside of
///    [`AuthLayer`](crate::layer::AuthLayer); where that is missing, requests are answered with 500. Callers without a
///    tenant, a client and so on are counted as principals, and callers without a credential, under an
///    [optional](crate::layer::AuthLayer::optional) layer, by their peer.
/// 2. [`peer`](Self::peer) needs the socket's other end in the request's extensions, as axum's
///    `into_make_service_with_connect_info::<SocketAddr>()` or the server itself puts it there; where it is missing,
///    requests are answered with 500.
/// 3. IPv6 addresses are counted by the /64 that one customer has, IPv4 addresses one by one.
///
/// ```
/// use tower_warden::rate_limit::By;
///
/// let by_route = LimitBy::principal().and(LimitBy::route());
/// let behind_proxies = LimitBy::client_address();
/// ```
#[derive(Clone)]
pub struct LimitBy(Vec<Part>);

#[derive(Clone)]
enum Part {
    ClientAddress,
    #[cfg(feature = "jwt")]
    Claim(Box<str>),
    Client,
    Everybody,
    Forwarded(NonZeroUsize),
    Key,
    Metadata(Box<str>),
    Peer,
    Principal,
    Route,
    Tenant,
    With(Arc<dyn Fn(&Head<'_>, &mut LimitKey) -> Result<(), Rejection> + Send + Sync>),
}

impl LimitBy {
    /// The address of the client, as [`ClientAddressLayer`](crate::layer::ClientAddressLayer) has resolved it, and that of
    /// the peer otherwise.
    #[must_use]
    pub fn client_address() -> Self {
        Self(vec![Part::ClientAddress])
    }

    /// A claim of the token that is a text or a number; reading the claims takes a few microseconds.
    #[cfg(feature = "jwt")]
    #[must_use]
    pub fn claim(name: impl Into<Box<str>>) -> Self {
        Self(vec![Part::Claim(name.into())])
    }

    /// The client that the token was issued to, of its issuer.
    #[must_use]
    pub fn client() -> Self {
        Self(vec![Part::Client])
    }

    /// Nothing: all share one quota.
    #[must_use]
    pub fn everybody() -> Self {
        Self(vec![Part::Everybody])
    }

    /// The address that stands `hops` places from the end of `X-Forwarded-For`: that which the outermost of so many
    /// proxies of yours has seen. The peer's, if there are fewer places or no address there.
    ///
    /// # Deployment caveat
    ///
    /// Only where nobody reaches the server but through all of these proxies, each of which appends the address that it
    /// sees: who comes past one of them says what the address is. [`client_address`](Self::client_address) checks which proxy forwards the address.
    #[must_use]
    pub fn forwarded(hops: NonZeroUsize) -> Self {
        Self(vec![Part::Forwarded(hops)])
    }

    /// The id of the API key: each key of a caller has a quota of its own.
    #[must_use]
    pub fn key() -> Self {
        Self(vec![Part::Key])
    }

    /// What the issuer attached to the credential by this name.
    #[must_use]
    pub fn metadata(name: impl Into<Box<str>>) -> Self {
        Self(vec![Part::Metadata(name.into())])
    }

    /// The socket's other end.
    #[must_use]
    pub fn peer() -> Self {
        Self(vec![Part::Peer])
    }

    /// Issuer, tenant and subject: whatever credential of the issuer's a caller comes with.
    #[must_use]
    pub fn principal() -> Self {
        Self(vec![Part::Principal])
    }

    /// The route as axum has matched it, and not as the client has spelled it; all requests without one are counted
    /// together, as they are without axum.
    #[must_use]
    pub fn route() -> Self {
        Self(vec![Part::Route])
    }

    /// The tenant: all of its subjects share a quota.
    #[must_use]
    pub fn tenant() -> Self {
        Self(vec![Part::Tenant])
    }

    /// Whatever a closure pushes; an error refuses the request.
    ///
    /// # Deployment caveat
    ///
    /// What the client chooses tells nobody apart: a new value is a new quota.
    #[must_use]
    pub fn with(push: impl Fn(&Head<'_>, &mut LimitKey) -> Result<(), Rejection> + Send + Sync + 'static) -> Self {
        Self(vec![Part::With(Arc::new(push))])
    }

    /// Both: callers share a quota if both are the same.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The key of a request.
    pub(crate) fn key_of(&self, head: &Head<'_>) -> Result<LimitKey, Rejection> {
        let mut key = LimitKey::default();
        for part in &self.0 {
            part.push(head, &mut key)?;
        }
        Ok(key)
    }
}

impl Part {
    fn push(&self, head: &Head<'_>, key: &mut LimitKey) -> Result<(), Rejection> {
        match self {
            Self::ClientAddress => push_address(key, head.client_address().map_or_else(|| peer(head), Ok)?),
            #[cfg(feature = "jwt")]
            Self::Claim(name) => {
                key.push("claim", &**name);
                push_of(key, head, "value", |caller| claim(caller, name))?;
            }
            Self::Client => push_of(key, head, "client", |caller| caller.client_id().map(Cow::Borrowed))?,
            Self::Everybody => key.push("everybody", ""),
            Self::Forwarded(hops) => push_address(key, forwarded(head, *hops).map_or_else(|| peer(head), Ok)?),
            Self::Key => push_of(key, head, "key", |caller| caller.key_id().map(Cow::Borrowed))?,
            Self::Metadata(name) => {
                key.push("metadata", &**name);
                push_of(key, head, "value", |caller| caller.metadata().get(name).map(|value| Cow::Borrowed(&**value)))?;
            }
            Self::Peer => push_address(key, peer(head)?),
            Self::Principal => push_of(key, head, "principal", |_| None)?,
            Self::Route => match route(head.extensions) {
                Some(route) => key.push("route", route),
                None => key.push("no route", ""),
            },
            Self::Tenant => push_of(key, head, "tenant", |caller| caller.tenant().map(Cow::Borrowed))?,
            Self::With(push) => push(head, key)?,
        }
        Ok(())
    }
}

impl fmt::Debug for LimitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("By").field(&self.0).finish()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientAddress => "ClientAddress",
            #[cfg(feature = "jwt")]
            Self::Claim(_) => "Claim",
            Self::Client => "Client",
            Self::Everybody => "Everybody",
            Self::Forwarded(_) => "Forwarded",
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

/// Something of the caller's, or the caller itself, or the peer of a caller without a credential.
fn push_of<'a>(
    key: &mut LimitKey,
    head: &Head<'a>,
    kind: &str,
    part: impl Fn(&'a Principal) -> Option<Cow<'a, str>>,
) -> Result<(), Rejection> {
    let caller = match caller::of(head.extensions) {
        Ok(caller) => caller,
        Err(rejection) if rejection.kind() == RejectionKind::Missing => {
            push_address(key, peer(head)?);
            return Ok(());
        }
        Err(rejection) => return Err(rejection),
    };
    // Two issuers may use the same names.
    if let Some(issuer) = caller.issuer() {
        key.push("issuer", issuer);
    }
    match part(caller) {
        Some(part) => key.push(kind, &*part),
        None => {
            if let Some(tenant) = caller.tenant() {
                key.push("tenant of", tenant);
            }
            key.push("subject", caller.subject());
        }
    }
    Ok(())
}

/// The text of a claim that is one, or a number.
#[cfg(feature = "jwt")]
fn claim<'a>(caller: &'a Principal, name: &str) -> Option<Cow<'a, str>> {
    let Json::Object(claims) = Json::parse(caller.claims()?.as_bytes()).ok()? else { return None };
    match claims.get(name)? {
        Json::Number(number) => Some(Cow::Owned(number.to_string())),
        Json::String(text) => Some(text.clone()),
        Json::Array(_) | Json::Bool(_) | Json::Null | Json::Object(_) => None,
    }
}

fn push_address(key: &mut LimitKey, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => key.push("ipv4", address.octets()),
        // A customer has a /64 to choose addresses from, RFC 6177.
        IpAddr::V6(address) => key.push("ipv6", &address.octets()[..8]),
    }
}

fn peer(head: &Head<'_>) -> Result<IpAddr, Rejection> {
    head.peer().ok_or_else(|| {
        log::error!("the server does not tell the peer's address, by which requests are counted: answered with 500");
        Rejection::new(RejectionKind::Internal, Reason::PEER_UNKNOWN)
    })
}

/// The address so many places from the end.
fn forwarded(head: &Head<'_>, hops: NonZeroUsize) -> Option<IpAddr> {
    let lines = head.headers.get_all("x-forwarded-for").iter().rev();
    let mut places = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    crate::request::address(std::str::from_utf8(places.nth(hops.get() - 1)?).ok()?.trim())
}

#[cfg(feature = "axum")]
fn route(extensions: &Extensions) -> Option<&str> {
    extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str)
}

#[cfg(not(feature = "axum"))]
const fn route(_: &Extensions) -> Option<&str> {
    None
}
