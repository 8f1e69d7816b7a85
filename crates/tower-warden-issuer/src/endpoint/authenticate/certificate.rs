//! Certificates of registered clients, RFC 8705 §2.

use tower_warden::{
    UnixTime,
    certificate::{ChainStatus, PeerCertificate},
};

use crate::{Client, ClientAuthentication};

/// Returns whether the certificate of the connection is one that the client authenticates with.
pub(super) fn accepts_certificate(client: Option<&Client>, certificate: &PeerCertificate, now: UnixTime) -> bool {
    let is_verified = certificate.chain() == ChainStatus::Verified;
    let is_valid = match (certificate.not_before(), certificate.not_after()) {
        (Some(begin), Some(end)) => begin <= now && now <= end,
        // A proxy has forwarded a thumbprint or names. It has checked the times if it has verified the chain.
        _ => is_verified,
    };
    let accepts = |method: &ClientAuthentication| match method {
        ClientAuthentication::SelfSignedTls(thumbprints) => thumbprints.contains(certificate.thumbprint()),
        // Anyone can make a certificate with any name.
        ClientAuthentication::Tls(name) => is_verified && certificate.has_name(name),
        _ => false,
    };
    is_valid && client.is_some_and(|client| client.methods().iter().any(accepts))
}
