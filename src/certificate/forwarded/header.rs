use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    super::peer::{ChainStatus, PeerCertificate},
    encoding::{FollowingChain, base64_der, byte_sequence, escaped_pem},
    proxy::ProxyMatcher,
    xfcc::{HashOnly, UnquotedNames, Xfcc, XfccElement},
};
use crate::{reason::Reason, request::Head};

/// The maximum length of the field, in bytes.
const MAX_LENGTH: usize = 32 * 1024;

/// The header field in which a proxy forwards the client's certificate, and its encoding.
///
/// The [`ChainStatus`] is that of all certificates from this proxy: [`Verified`](ChainStatus::Verified) if the proxy refuses
/// certificates that it cannot verify. The [module docs](crate::certificate#behind-a-proxy) have the configuration of each
/// proxy.
#[derive(Clone, Debug)]
pub struct CertificateHeader {
    name: HeaderName,
    encoding: Encoding,
    chain: ChainStatus,
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Base64Der,
    ByteSequence,
    EscapedPem(FollowingChain),
    Xfcc(Xfcc),
}

impl CertificateHeader {
    /// `Client-Cert` of [RFC 9440](https://www.rfc-editor.org/rfc/rfc9440).
    ///
    /// `Client-Cert-Chain` is not read. A request with `Client-Cert-Chain` and without `Client-Cert` is refused.
    #[must_use]
    pub const fn client_cert(chain: ChainStatus) -> Self {
        Self { name: CLIENT_CERT, encoding: Encoding::ByteSequence, chain }
    }

    /// Envoy's `X-Forwarded-Client-Cert`.
    #[must_use]
    pub const fn envoy(element: XfccElement, chain: ChainStatus) -> Self {
        let xfcc = Xfcc { element, hash_only: HashOnly::Refuse, names: UnquotedNames::Distrust };
        Self { name: XFCC, encoding: Encoding::Xfcc(xfcc), chain }
    }

    /// A field with this name and the DER encoding of one certificate in base64, without further marks: HAProxy's
    /// `%[ssl_c_der,base64]`, Caddy's `{http.request.tls.client.certificate_der_base64}`, and Traefik's
    /// `X-Forwarded-Tls-Client-Cert` for clients that send no chain. Traefik may pass that field on as a client has sent it: see
    /// the [module docs](crate::certificate#behind-a-proxy).
    #[must_use]
    pub const fn base64_der(name: HeaderName, chain: ChainStatus) -> Self {
        Self { name, encoding: Encoding::Base64Der, chain }
    }

    /// A field with this name and percent-encoded PEM: nginx's `$ssl_client_escaped_cert`, Apache's
    /// `%{escape:%{SSL_CLIENT_CERT}}`.
    #[must_use]
    pub const fn escaped_pem(name: HeaderName, chain: ChainStatus) -> Self {
        Self { name, encoding: Encoding::EscapedPem(FollowingChain::Refuse), chain }
    }

    /// `X-Amzn-Mtls-Clientcert-Leaf` of an AWS Application Load Balancer in the mode `verify`.
    #[must_use]
    pub const fn alb() -> Self {
        Self { name: ALB_LEAF, encoding: Encoding::EscapedPem(FollowingChain::Refuse), chain: ChainStatus::Verified }
    }

    /// `X-Amzn-Mtls-Clientcert` of an AWS Application Load Balancer in the mode `passthrough`, which does not verify
    /// certificates.
    #[must_use]
    pub const fn alb_passthrough() -> Self {
        Self { name: ALB, encoding: Encoding::EscapedPem(FollowingChain::Ignore), chain: ChainStatus::Unverified }
    }

    /// Accepts an element of `X-Forwarded-Client-Cert` that has `Hash` and no `Cert`.
    ///
    /// The thumbprint is all that is known of such a certificate: it suffices for bound tokens, and for a
    /// [`CertificateName::thumbprint`](crate::certificate::CertificateName::thumbprint). Other encodings are unaffected.
    #[must_use]
    pub const fn accept_hash_only(mut self) -> Self {
        if let Encoding::Xfcc(xfcc) = self.encoding {
            self.encoding = Encoding::Xfcc(Xfcc { hash_only: HashOnly::Accept, ..xfcc });
        }
        self
    }

    /// Trusts `URI` and `DNS` in `X-Forwarded-Client-Cert`: accepts them with [`XfccElement::FromEnd`], and reads them as
    /// names of the certificate if an element has `Hash` and no `Cert`, as in Istio's default configuration.
    ///
    /// Envoy does not quote these names. A client whose certificate has a name with `,` or `;` can pass for any other
    /// client. Set this only if the authority chooses the names of all certificates that the proxy accepts, as that of a
    /// service mesh does. Other encodings are unaffected.
    #[must_use]
    pub const fn danger_trust_unquoted_names(mut self) -> Self {
        if let Encoding::Xfcc(xfcc) = self.encoding {
            self.encoding = Encoding::Xfcc(Xfcc { names: UnquotedNames::Trust, ..xfcc });
        }
        self
    }

    /// The name of the field.
    pub(crate) const fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Reads the certificate that a proxy forwards.
    ///
    /// # Errors
    ///
    /// The reason of the refusal.
    pub(crate) fn read(&self, head: &Head<'_>) -> Result<Option<PeerCertificate>, Reason> {
        let mut lines = head.headers.get_all(&self.name).iter();
        let Some(line) = lines.next() else {
            // RFC 9440 §2.3.
            let chain_alone = self.name == CLIENT_CERT && head.headers.contains_key(CLIENT_CERT_CHAIN);
            return if chain_alone { Err(Reason::CLIENT_CERTIFICATE_CHAIN_ALONE) } else { Ok(None) };
        };
        if lines.next().is_some() {
            return Err(Reason::SEVERAL_CLIENT_CERTIFICATES);
        }
        if self.is_empty(line) {
            return Ok(None);
        }
        if line.len() > MAX_LENGTH {
            return Err(Reason::CLIENT_CERTIFICATE_TOO_LONG);
        }
        let text = line.to_str().map_err(|_| Reason::CLIENT_CERTIFICATE_MALFORMED)?;
        let der = match self.encoding {
            Encoding::Base64Der => base64_der(text),
            Encoding::ByteSequence => byte_sequence(text),
            Encoding::EscapedPem(chain) => escaped_pem(text, chain),
            Encoding::Xfcc(xfcc) => return xfcc.read(text, self.chain).map(Some),
        };
        let certificate = der.and_then(|der| PeerCertificate::from_der(&der, self.chain).ok());
        certificate.map(Some).ok_or(Reason::CLIENT_CERTIFICATE_MALFORMED)
    }

    /// Removes all fields that forward certificates, or look as if they did, except the configured one from a proxy.
    pub(crate) fn strip(&self, headers: &mut HeaderMap, sender: Sender) {
        let is_trusted = |name: &HeaderName| match sender {
            Sender::TrustedProxy => *name == self.name || self.name == CLIENT_CERT && *name == CLIENT_CERT_CHAIN,
            Sender::Other => false,
        };
        let untrusted = headers.keys().filter(|name| self.resembles(name.as_str()) && !is_trusted(name));
        for name in untrusted.cloned().collect::<Vec<_>>() {
            headers.remove(name);
        }
    }

    /// Returns `true` if the field says that the client has no certificate: it is empty, and filled from a variable.
    ///
    /// Caddy and Apache send an empty field then, nginx none.
    fn is_empty(&self, line: &HeaderValue) -> bool {
        matches!(self.encoding, Encoding::Base64Der | Encoding::EscapedPem(_)) && line.is_empty()
    }

    /// Returns `true` if a name is the configured one or begins with a known one, for software that does not distinguish `_`
    /// and `-`.
    fn resembles(&self, name: &str) -> bool {
        let is_like = |known: &str, name: &str| {
            let same = |(a, b): (u8, u8)| a == b || matches!((a, b), (b'_', b'-') | (b'-', b'_'));
            known.len() == name.len() && known.bytes().zip(name.bytes()).all(same)
        };
        let begins_like = |known: &&str| {
            let (start, rest) = name.split_at_checked(known.len()).unwrap_or_default();
            is_like(known, start) && (rest.is_empty() || rest.starts_with(['-', '_']))
        };
        is_like(self.name.as_str(), name) || KNOWN.iter().any(begins_like)
    }
}

/// The sender of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sender {
    Other,
    TrustedProxy,
}

impl Sender {
    pub(crate) fn of(head: &Head<'_>, proxies: &ProxyMatcher) -> Self {
        if proxies.matches(head.extensions) { Self::TrustedProxy } else { Self::Other }
    }
}

const ALB: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert");
const ALB_LEAF: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-leaf");
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const XFCC: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// The fields in which proxies forward certificates, or what they say of them; further fields begin with the same words.
/// They are removed even if another one is configured: handlers could mistake them for verified certificates.
const KNOWN: [&str; 11] = [
    "cf-client-cert",
    "client-cert",
    "ssl-client",
    "x-amzn-mtls-clientcert",
    "x-arr-clientcert",
    "x-client-cert",
    "x-forwarded-client-cert",
    "x-forwarded-ssl-client",
    "x-forwarded-tls-client-cert",
    "x-ssl-client",
    "x-tls-client-cert",
];
