//! The properties by which limits distinguish callers.

use std::{fmt, num::NonZeroU32, sync::Arc};

use super::{address::AddressedKey, limit_key::LimitKey, property::Property};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    refusal::Rejection,
    request::Head,
};

/// The properties by which limits distinguish callers: callers with the same values share a quota.
///
/// Properties of a principal count within its issuer and tenant: two tenants never share a quota by the values that they
/// choose. A missing value never exempts a request:
///
/// 1. [`principal`](Self::principal) and the properties of a principal (tenant, client, key, metadata, claim) need an
///    [`AuthLayer`](crate::layer::AuthLayer) outside; without it, requests are refused with 500. Callers without the
///    property (a tenant, a client and so on) are limited as principals. Callers without a credential, which an
///    [optional](crate::layer::AuthLayer::optional) layer admits, are limited by their
///    [address](Self::client_address): behind a proxy, all of them share one quota without a
///    [`ClientAddressLayer`](crate::layer::ClientAddressLayer).
/// 2. [`peer`](Self::peer) needs the peer address in the request's extensions, where axum's
///    `into_make_service_with_connect_info::<SocketAddr>()`, the server or a [`PeerLayer`](crate::layer::PeerLayer) inserts
///    it. If it is missing, requests are refused with 500.
/// 3. IPv6 addresses are grouped by /64, the smallest usual size of one customer's network, unless
///    [`ipv6_prefix`](Self::ipv6_prefix) is set; IPv4 addresses are not grouped.
///
/// # Examples
///
/// ```
/// use tower_warden::rate_limit::LimitBy;
///
/// let by_route = LimitBy::principal().and(LimitBy::route());
/// let behind_proxies = LimitBy::client_address();
/// let by_site = LimitBy::peer().ipv6_prefix(48)?;
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct LimitBy(Vec<Item>);

/// A property, and the prefix by which it groups IPv6 addresses.
#[derive(Clone)]
struct Item {
    property: Property,
    ipv6_prefix: u8,
}

impl LimitBy {
    /// The client address that [`ClientAddressLayer`](crate::layer::ClientAddressLayer) has resolved; without that layer,
    /// the peer address.
    #[must_use]
    pub fn client_address() -> Self {
        Self::of(Property::ClientAddress)
    }

    /// A claim of the token, if it is a string or a number, together with issuer and tenant. Parsing the claims takes a few
    /// microseconds.
    #[cfg(feature = "jwt")]
    #[must_use]
    pub fn claim(name: impl Into<Box<str>>) -> Self {
        Self::of(Property::Claim(name.into()))
    }

    /// The OAuth client that the token was issued to, together with issuer and tenant.
    #[must_use]
    pub fn client() -> Self {
        Self::of(Property::Client)
    }

    /// No property: all callers share one quota.
    #[must_use]
    pub fn global() -> Self {
        Self::of(Property::Global)
    }

    /// The entry at position `hops` from the end of `X-Forwarded-For`: the address that the outermost of `hops` proxies
    /// has seen. The peer address, if there are fewer entries or the entry is not an address.
    ///
    /// # Deployment caveat
    ///
    /// This is only safe if the server can be reached only through all of these proxies, and each of them appends the
    /// address that it sees. A client that bypasses one of them chooses its own address.
    /// [`client_address`](Self::client_address) checks which proxy has forwarded the address.
    #[must_use]
    pub fn forwarded(hops: NonZeroU32) -> Self {
        Self::of(Property::Forwarded(hops))
    }

    /// The id of the API key, or of the key that has signed the request: each key of a caller has a separate quota.
    #[must_use]
    pub fn key() -> Self {
        Self::of(Property::Key)
    }

    /// The value with this name in the credential's metadata, together with issuer and tenant.
    #[must_use]
    pub fn metadata(name: impl Into<Box<str>>) -> Self {
        Self::of(Property::Metadata(name.into()))
    }

    /// The peer address: the remote address of the connection. All peers on Unix sockets share one quota.
    #[must_use]
    pub fn peer() -> Self {
        Self::of(Property::Peer)
    }

    /// Issuer, tenant and subject, for any credential of that issuer.
    #[must_use]
    pub fn principal() -> Self {
        Self::of(Property::Principal)
    }

    /// The route template that axum has matched, not the path that the client has sent. Requests without a matched route,
    /// and all requests without axum, share one quota.
    #[must_use]
    pub fn route() -> Self {
        Self::of(Property::Route)
    }

    /// The tenant of the subject: all subjects of a tenant share a quota.
    #[must_use]
    pub fn tenant() -> Self {
        Self::of(Property::Tenant)
    }

    /// Custom parts that a closure pushes to the key; an error refuses the request.
    ///
    /// # Deployment caveat
    ///
    /// A value that the client chooses does not limit the client: each new value has a new quota.
    #[must_use]
    pub fn with(push: impl Fn(&Head<'_>, &mut LimitKey) -> Result<(), Rejection> + Send + Sync + 'static) -> Self {
        Self::of(Property::With(Arc::new(push)))
    }

    /// Groups IPv6 addresses by a prefix of this length, in bits: 64 by default.
    ///
    /// It applies to the properties so far, also where the address takes the place of a missing credential. Many providers
    /// give a customer a /56 or a /48 ([RFC 6177](https://www.rfc-editor.org/rfc/rfc6177)): with the default, such a
    /// customer has 256 or 65,536 quotas.
    ///
    /// # Errors
    ///
    /// If the length is zero, or more than 128.
    pub fn ipv6_prefix(mut self, length: u8) -> Result<Self, ConfigError> {
        if !(1..=128).contains(&length) {
            let message = "the prefix by which IPv6 addresses are grouped has 1 to 128 bits";
            return Err(ConfigError::new(ConfigErrorKind::Network, message).value(length));
        }
        self.0.iter_mut().for_each(|item| item.ipv6_prefix = length);
        Ok(self)
    }

    /// Combines two properties: callers share a quota if both have the same values.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The key of a request; `limit` is the key without parts.
    pub(crate) fn key_of(&self, limit: &LimitKey, head: &Head<'_>) -> Result<LimitKey, Rejection> {
        let mut key = limit.clone();
        self.push(&mut key, head)?;
        Ok(key)
    }

    /// Pushes the properties of a request to the key without parts.
    pub(super) fn push(&self, key: &mut LimitKey, head: &Head<'_>) -> Result<(), Rejection> {
        for Item { property, ipv6_prefix } in &self.0 {
            property.push(head, &mut AddressedKey { key, ipv6_prefix: *ipv6_prefix })?;
        }
        Ok(())
    }

    fn of(property: Property) -> Self {
        Self(vec![Item { property, ipv6_prefix: 64 }])
    }
}

impl fmt::Debug for LimitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LimitBy").field(&self.0.iter().map(|item| &item.property).collect::<Vec<_>>()).finish()
    }
}
