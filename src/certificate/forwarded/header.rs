use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    super::peer::{ChainStatus, PeerCertificate},
    encoding::{Several, byte_sequence, escaped_pem},
    proxy::ProxyRule,
    xfcc::{self, HashAlone, XfccElement},
};
use crate::reason::Reason;
use crate::request::Head;

/// The longest field that is looked at, in bytes.
const LONGEST: usize = 32 * 1024;

/// Where, and how, a proxy passes the client's certificate on.
///
/// Each says what the proxy lets through: [`ChainStatus::Verified`] if it refuses certificates that it cannot verify. See the
/// [module docs](crate::certificate) for what each proxy has to be told.
#[derive(Clone, Debug)]
pub struct CertificateHeader {
    name: HeaderName,
    form: Form,
    chain: ChainStatus,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    ByteSequence,
    EscapedPem(Several),
    Xfcc { element: XfccElement, alone: HashAlone },
}

impl CertificateHeader {
    /// RFC 9440: `Client-Cert`. Its companion `Client-Cert-ChainStatus` is not looked at, but refused where it stands alone.
    #[must_use]
    pub const fn client_cert(chain: ChainStatus) -> Self {
        Self { name: CLIENT_CERT, form: Form::ByteSequence, chain }
    }

    /// Envoy's `X-Forwarded-Client-Cert`.
    #[must_use]
    pub const fn envoy(element: XfccElement, chain: ChainStatus) -> Self {
        Self { name: XFCC, form: Form::Xfcc { element, alone: HashAlone::Refused }, chain }
    }

    /// A field of this name with percent-encoded PEM: nginx's `$ssl_client_escaped_cert`.
    #[must_use]
    pub const fn escaped_pem(name: HeaderName, chain: ChainStatus) -> Self {
        Self { name, form: Form::EscapedPem(Several::Refused), chain }
    }

    /// The AWS Application Load Balancer in the mode `verify`: `X-Amzn-Mtls-Clientcert-Leaf`.
    #[must_use]
    pub const fn alb() -> Self {
        Self { name: ALB_LEAF, form: Form::EscapedPem(Several::Refused), chain: ChainStatus::Verified }
    }

    /// The AWS Application Load Balancer in the mode `passthrough`: `X-Amzn-Mtls-Clientcert`, which it verifies not at
    /// all.
    #[must_use]
    pub const fn alb_passthrough() -> Self {
        Self { name: ALB, form: Form::EscapedPem(Several::Allowed), chain: ChainStatus::Unverified }
    }

    /// Is content with an element of `X-Forwarded-Client-Cert` that has `Hash` and no `Cert`: good for bound tokens, and
    /// known by its thumbprint only.
    #[must_use]
    pub const fn hash_alone(mut self) -> Self {
        if let Form::Xfcc { element, .. } = self.form {
            self.form = Form::Xfcc { element, alone: HashAlone::Accepted };
        }
        self
    }

    /// The name of the field.
    pub(crate) const fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The certificate that a proxy passes on.
    ///
    /// An error is the reason of a refusal.
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
        if self.is_blank(line) {
            return Ok(None);
        }
        if line.len() > LONGEST {
            return Err(Reason::CLIENT_CERTIFICATE_TOO_LONG);
        }
        let text = line.to_str().map_err(|_| Reason::CLIENT_CERTIFICATE_MALFORMED)?;
        let der = match self.form {
            Form::ByteSequence => byte_sequence(text),
            Form::EscapedPem(several) => escaped_pem(text, several),
            Form::Xfcc { element, alone } => {
                return xfcc::read(text, element, alone, self.chain)
                    .map(Some)
                    .ok_or(Reason::CLIENT_CERTIFICATE_MALFORMED);
            }
        };
        let certificate = der.and_then(|der| PeerCertificate::from_der(&der, self.chain).ok());
        certificate.map(Some).ok_or(Reason::CLIENT_CERTIFICATE_MALFORMED)
    }

    /// Removes what must not be believed: fields that look as if they told of a certificate, but for the one that does
    /// where a proxy sent it.
    pub(crate) fn strip(&self, headers: &mut HeaderMap, sender: Sender) {
        let is_believed = |name: &HeaderName| match sender {
            Sender::Proxy => *name == self.name || self.name == CLIENT_CERT && *name == CLIENT_CERT_CHAIN,
            Sender::Stranger => false,
        };
        let suspects = headers.keys().filter(|name| self.resembles(name.as_str()) && !is_believed(name));
        for name in suspects.cloned().collect::<Vec<_>>() {
            headers.remove(name);
        }
    }

    /// nginx sends an empty field where there is no certificate.
    fn is_blank(&self, line: &HeaderValue) -> bool {
        matches!(self.form, Form::EscapedPem(_)) && line.is_empty()
    }

    /// Whether a name is one of the fields, or would be taken for one where `_` and `-` are the same.
    fn resembles(&self, name: &str) -> bool {
        let is_like = |known: &HeaderName, name: &str| {
            let same = |(a, b): (u8, u8)| a == b || matches!((a, b), (b'_', b'-') | (b'-', b'_'));
            known.as_str().len() == name.len() && known.as_str().bytes().zip(name.bytes()).all(same)
        };
        // The load balancer has a family of them.
        let start = name.get(..ALB.as_str().len()).unwrap_or_default();
        is_like(&self.name, name) || KNOWN.iter().any(|known| is_like(known, name)) || is_like(&ALB, start)
    }
}

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sender {
    Proxy,
    Stranger,
}

impl Sender {
    /// Who sent this one.
    pub(crate) fn of(head: &Head<'_>, rule: &ProxyRule) -> Self {
        if rule.admits(head.extensions) { Self::Proxy } else { Self::Stranger }
    }
}

const ALB: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert");
const ALB_LEAF: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-leaf");
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const XFCC: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// The fields of all proxies: what does not count must not look as if it did.
const KNOWN: [HeaderName; 3] = [CLIENT_CERT, CLIENT_CERT_CHAIN, XFCC];
