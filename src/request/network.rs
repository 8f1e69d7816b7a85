use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::{IpNet, Ipv4Net};

use crate::error::{ConfigError, ConfigErrorKind};

/// A range of IP addresses, written as `192.0.2.0/24` or as one address.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address lies in the range; IPv4 that was mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) => Ok(Self(canonical(network).trunc())),
            Err(_) => Err(ConfigError::new(ConfigErrorKind::Network, "not an IP network")),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Addresses of IPv4 that are written as IPv6 are compared as what they are.
fn canonical(network: IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V6(network) if network.prefix_len() >= 96 => {
            network.addr().to_ipv4_mapped().zip(Some(network.prefix_len()))
        }
        IpNet::V4(_) | IpNet::V6(_) => None,
    };
    mapped.and_then(|(address, length)| Ipv4Net::new(address, length - 96).ok()).map_or(network, IpNet::V4)
}
