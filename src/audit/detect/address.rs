use std::net::{IpAddr, Ipv6Addr};

/// The network of an address, as an IPv6 address; IPv4 is mapped.
pub(super) fn prefix(address: IpAddr, ipv4: u32, ipv6: u32) -> u128 {
    let (address, length) = match address {
        IpAddr::V4(address) => (address.to_ipv6_mapped(), 96 + ipv4),
        IpAddr::V6(address) => (address, ipv6),
    };
    u128::from(address) & u128::MAX << (128 - length)
}

/// The network of a key, as text.
pub(super) fn network_text(prefix: u128) -> Box<str> {
    match IpAddr::V6(Ipv6Addr::from(prefix)).to_canonical() {
        IpAddr::V4(address) => format!("{address}/24").into(),
        IpAddr::V6(address) => format!("{address}/48").into(),
    }
}
