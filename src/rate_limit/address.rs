//! Addresses of clients, as parts of keys.

use std::{net::IpAddr, num::NonZeroU32};

use super::limit_key::LimitKey;
use crate::{
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
};

/// A key to which addresses are added by their prefix.
pub(super) struct AddressedKey<'a> {
    pub(super) key: &'a mut LimitKey,
    pub(super) ipv6_prefix: u8,
}

impl AddressedKey<'_> {
    /// Pushes the address, or else that of the peer. All peers on Unix sockets have one quota.
    pub(super) fn push_address_or_peer(&mut self, head: &Head<'_>, address: Option<IpAddr>) -> Result<(), Rejection> {
        match address.or_else(|| head.peer()) {
            Some(address) => self.push_address(address),
            None if head.is_on_unix_socket() => self.key.push("unix socket", ""),
            None => {
                log::error!("the peer address, by which requests are limited, is not in the request's extensions");
                return Err(Rejection::new(RejectionKind::Internal, Reason::PEER_UNKNOWN));
            }
        }
        Ok(())
    }

    fn push_address(&mut self, address: IpAddr) {
        match address.to_canonical() {
            IpAddr::V4(address) => self.key.push("ipv4", address.octets()),
            IpAddr::V6(address) => {
                let prefix = u128::from(address) & u128::MAX << (128 - u32::from(self.ipv6_prefix));
                let length = usize::from(self.ipv6_prefix.div_ceil(8));
                self.key.push("ipv6", &prefix.to_be_bytes()[..length]);
            }
        }
    }
}

/// The entry of `X-Forwarded-For` at this position from the end.
pub(super) fn forwarded(head: &Head<'_>, hops: NonZeroU32) -> Option<IpAddr> {
    let lines = head.headers.get_all("x-forwarded-for").iter().rev();
    let mut entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    crate::request::address(std::str::from_utf8(entries.nth(usize::try_from(hops.get() - 1).ok()?)?).ok()?.trim())
}
