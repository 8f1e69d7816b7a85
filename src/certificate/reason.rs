//! Reasons of refusals because of client certificates.

use crate::reason::reasons;

reasons! {
    /// The certificate directory failed.
    ///
    /// Look at: the warning in the log, which names the cause, and the backend of the custom `CertificateDirectory`.
    CERTIFICATE_DIRECTORY_UNAVAILABLE = "certificate_directory_unavailable";
    /// The client certificate is not valid yet.
    ///
    /// Look at: the start of the certificate's validity, and the clock of this server.
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid";
    /// The client certificate does not belong to a known caller.
    ///
    /// Look at: the certificate's names and thumbprint against those in the `CertificateMap` or directory. A
    /// certificate whose names lead to two callers is refused as well.
    CERTIFICATE_UNKNOWN = "certificate_unknown";
    /// The client certificate was not verified against a trusted authority.
    ///
    /// Look at: the `ChainStatus` configured for the TLS listener or for the proxy's header, and whether the proxy
    /// verifies certificates: AWS ALB does not in its mode `passthrough`, nginx not with `optional_no_ca`.
    CERTIFICATE_UNVERIFIED = "certificate_unverified";
    /// A proxy sent `Client-Cert-Chain` without `Client-Cert`.
    ///
    /// Look at: the proxy's settings for RFC 9440: it must send `Client-Cert`, and remove both headers from requests
    /// that it receives.
    CLIENT_CERTIFICATE_CHAIN_ALONE = "client_certificate_chain_alone";
    /// The header in which a proxy forwards the client certificate cannot be parsed.
    ///
    /// Look at: whether the `CertificateHeader` is the one for this proxy (RFC 9440, Envoy, nginx, HAProxy, Caddy, Apache,
    /// AWS ALB). Envoy must send `Cert`, with several elements `XfccElement` must select one, and a quote that a client sent
    /// must not remain: the outermost proxy must use `SANITIZE_SET`.
    CLIENT_CERTIFICATE_MALFORMED = "client_certificate_malformed";
    /// The header in which a proxy forwards the client certificate is longer than 32 KiB.
    ///
    /// Look at: whether the proxy sends the whole chain; the client's certificate is enough.
    CLIENT_CERTIFICATE_TOO_LONG = "client_certificate_too_long";
    /// The client certificate header has names that Envoy does not quote, and `XfccElement::FromEnd` is configured.
    ///
    /// Look at: `set_current_client_cert_details`, where `uri` and `dns` must not be set: a certificate with a comma in such
    /// a name could pass for another. If the authority chooses all names, as in a service mesh, see
    /// `CertificateHeader::danger_trust_unquoted_names`.
    CLIENT_CERTIFICATE_UNQUOTED_NAME = "client_certificate_unquoted_name";
    /// The header in which a proxy forwards the client certificate is present more than once.
    ///
    /// Look at: whether the proxy removes this header from requests that it receives before it adds its own; if it does
    /// not, clients can forge certificates.
    SEVERAL_CLIENT_CERTIFICATES = "several_client_certificates";
}
