//! The addresses that the built-in client connects to.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use http::Uri;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::{request::Network, url};

/// The addresses that may be connected to: those of the configured networks, and public ones unless they are excluded.
///
/// As a resolver, it drops all other addresses of a name. The check is made on the addresses that are then connected to,
/// so a second DNS response cannot evade it.
#[derive(Clone, Debug)]
pub(super) struct AllowedAddresses(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Addresses that are used instead of those of the DNS.
    hosts: HashMap<Box<str>, Vec<IpAddr>>,
    networks: Vec<Network>,
    others: Others,
}

/// The addresses outside of the configured networks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Others {
    /// None.
    Denied,
    /// Public ones; of hosts with a usual name of this machine, loopback ones instead.
    Public,
}

/// A host without an allowed address.
#[derive(Debug, thiserror::Error)]
#[error("the address is not allowed")]
pub(crate) struct ForbiddenAddress(#[source] Advice);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Advice(&'static str);

/// The way to allow an address.
pub(crate) const ALLOW: &str = "a client connects to public addresses; private networks are declared with \
    `HttpClient::allowing_networks`, for plain http with `danger_plain_http`";

impl ForbiddenAddress {
    pub(super) const fn new() -> Self {
        Self(Advice(ALLOW))
    }

    /// Returns whether this is the cause of an error.
    #[cfg(feature = "jwks")]
    pub(crate) fn is_cause_of(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<Self>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

impl AllowedAddresses {
    pub(super) fn new(networks: Vec<Network>, others: Others, hosts: HashMap<Box<str>, Vec<IpAddr>>) -> Self {
        Self(Arc::new(Inner { hosts, networks, others }))
    }

    /// Returns whether a host of a URL is a name, or an allowed address.
    ///
    /// `host` is in normal form; `uri` contains it in the form in which it was written. Only the usual form of a loopback
    /// address is allowed by itself: any other refers to an address that a check of the text may have missed.
    pub(super) fn contains_host(&self, uri: &Uri, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        bare.parse().map_or(true, |address| self.contains(url::is_loopback(uri), address))
    }

    fn contains(&self, is_loopback_host: bool, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_other = match self.0.others {
            Others::Denied => false,
            // Plain http is accepted for such a host, so its name must not lead away from this machine.
            Others::Public if is_loopback_host => return address.is_loopback(),
            Others::Public => is_public(address),
        };
        is_other || self.0.networks.iter().any(|network| network.contains(address))
    }
}

impl Resolve for AllowedAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let found = match this.0.hosts.get(name.as_str()) {
                Some(addresses) => addresses.iter().map(|address| SocketAddr::new(*address, 0)).collect(),
                None => tokio::net::lookup_host((name.as_str(), 0)).await?.collect::<Vec<_>>(),
            };
            let is_loopback_host = url::is_loopback_host(name.as_str());
            let allowed = found.into_iter().filter(|address| this.contains(is_loopback_host, address.ip()));
            let allowed: Vec<_> = allowed.collect();
            if allowed.is_empty() {
                return Err(ForbiddenAddress::new().into());
            }
            Ok::<Addrs, _>(Box::new(allowed.into_iter()))
        })
    }
}

/// Returns whether a URL refers to this machine, also where its host is written in an unusual form.
#[cfg(feature = "jwks")]
pub(crate) fn is_local(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']', '.']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Returns whether an address is globally reachable, according to IANA's registries of special-purpose addresses.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_special = match address.octets() {
        // "This network", reserved and broadcast; benchmarking; shared address space of providers; protocol assignments.
        [0 | 240.., ..] | [198, 18 | 19, ..] | [100, 64..=127, ..] | [192, 0, 0, _] => true,
        _ => address.is_private() || address.is_loopback() || address.is_link_local(),
    };
    !(is_special || address.is_documentation() || address.is_multicast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // RFC 6052 §2.1: an IPv4 address behind NAT64.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
        // Protocol assignments such as Teredo; documentation; 6to4, which embeds any IPv4 address.
        [0x2001, ..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, ..=0xfff, ..] => false,
        // Global unicast.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_purpose_addresses_are_not_public() {
        let special = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1 \
            172.31.255.255 192.0.0.192 192.168.1.1 198.18.0.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 \
            ::7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2001:: 2001:db8::1 \
            2002:a9fe:a9fe:: 3fff::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1";
        let public = "1.1.1.1 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 198.17.0.1 223.255.255.254 \
            64:ff9b::101:101 2001:4860:4860::8888 2606:4700::1111 ::ffff:1.1.1.1";
        let allowed = AllowedAddresses::new(Vec::new(), Others::Public, HashMap::new());
        let is_allowed = |text: &str| allowed.contains(false, text.parse().expect("an address"));
        for address in special.split_whitespace() {
            assert!(!is_allowed(address), "{address}");
        }
        for address in public.split_whitespace() {
            assert!(is_allowed(address), "{address}");
        }
    }

    #[test]
    fn loopback_is_allowed_by_its_usual_names_only_and_configured_networks_by_any_name() {
        let networks = vec!["10.0.0.0/8".parse().expect("a network")];
        let allowed = AllowedAddresses::new(networks, Others::Public, HashMap::new());
        let contains = |host: &str| {
            let uri = format!("https://{host}/").parse().expect("a URL");
            let normal = reqwest::Url::parse(&format!("https://{host}/")).expect("a URL");
            allowed.contains_host(&uri, normal.host_str().expect("a host"))
        };
        for host in ["127.0.0.1", "[::1]", "10.1.2.3", "10.66051", "auth.example", "localhost"] {
            assert!(contains(host), "{host}");
        }
        for host in ["127.0.0.2", "127.1", "127.0.0.1.", "0x7f000001", "[0::1]", "169.254.169.254", "[fe80::1]"] {
            assert!(!contains(host), "{host}");
        }
        for host in ["[::ffff:a9fe:a9fe]", "192.168.0.1", "192.168.1", "0300.0250.0.1"] {
            assert!(!contains(host), "{host}");
        }
    }
}
