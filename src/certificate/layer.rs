use std::{fmt, sync::Arc};

use http::{HeaderMap, Request, header};
use tower_layer::Layer;

use super::{
    forwarded::{CertificateHeader, ProxyMatcher, Sender},
    peer::PeerCertificate,
};
use crate::{
    Eventual,
    gate::{Check, Gate, Pass, sealed::Sealed},
    log,
    reason::Reason,
    refusal::{Problem, Rejection, RejectionKind, Responder},
    request::Head,
    scheme::{Bearer, Challenge, Challenges, Presented, Schemes},
};

/// Reads the client certificate that a trusted proxy forwards, and removes forged header fields.
///
/// Place it outside of [`AuthLayer`](crate::layer::AuthLayer). For each request:
///
/// 1. If it comes from a trusted proxy, the certificate in the configured field becomes the request's [`PeerCertificate`] and
///    replaces that of the proxy itself. A field that is malformed, or present more than once, is refused with 400.
/// 2. If it comes from any other peer, it keeps the certificate of its own connection, and the field is removed.
/// 3. The response to a proxy's request has the field's name in `Vary`
///    ([RFC 9440 §2.4](https://www.rfc-editor.org/rfc/rfc9440#section-2.4)).
/// 4. The fields of other proxies, and names that differ only in `_` and `-`, are removed from all requests.
/// 5. If proxies are distinguished by [networks](ProxyMatcher::networks), and the server has not inserted the
///    [`Peer`](crate::request::Peer), each request is refused with 500.
///
/// See the [module docs](super#behind-a-proxy) for the configuration of each proxy.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     certificate::{CertificateHeader, ChainStatus, PeerCertificate, ProxyMatcher},
///     layer::ForwardedCertificateLayer,
///     request::{Peer, TrustedProxies},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let proxies = ProxyMatcher::networks(TrustedProxies::new(["10.0.0.0/28".parse()?]));
/// let layer = ForwardedCertificateLayer::new(CertificateHeader::client_cert(ChainStatus::Verified), proxies);
/// let service = ServiceBuilder::new().layer(layer).service_fn(async |request: Request<()>| {
///     let certificate = PeerCertificate::of(request.extensions());
///     let subject = certificate.and_then(PeerCertificate::subject).unwrap_or("nobody");
///     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(subject.to_owned())))
/// });
/// # let encoded = include_str!("../../tests/vectors/rfc9440/leaf.der.base64").trim();
/// let from = |address: &str, field: &str| {
///     let peer = Peer::new(address.parse().expect("an address"));
///     Request::builder().header("client-cert", field).extension(peer).body(()).expect("a request")
/// };
///
/// use http_body_util::BodyExt;
/// let field = format!(":{encoded}:");
/// let proxied = service.clone().oneshot(from("10.0.0.3:4711", &field)).await?;
/// assert_eq!(proxied.into_body().collect().await?.to_bytes(), "CN=BC");
/// let forged = service.clone().oneshot(from("203.0.113.9:4711", &field)).await?;
/// assert_eq!(forged.into_body().collect().await?.to_bytes(), "nobody");
/// assert_eq!(service.oneshot(from("10.0.0.3:4711", "garbage")).await?.status(), 400);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ForwardedCertificateLayer<R = Problem> {
    check: Arc<ForwardedCertificateCheck>,
    respond: Responder<R>,
}

impl ForwardedCertificateLayer {
    /// A layer that trusts this field from these proxies.
    #[must_use]
    pub fn new(header: CertificateHeader, proxies: ProxyMatcher) -> Self {
        let check = ForwardedCertificateCheck { challenges: challenges(Challenge::default()), header, proxies };
        Self { check: Arc::new(check), respond: Responder::default() }
    }
}

impl<R> ForwardedCertificateLayer<R> {
    /// Sets the parameters of the challenges in refusals: the realm `api` by default.
    #[must_use]
    pub fn challenge(mut self, challenge: Challenge) -> Self {
        Arc::make_mut(&mut self.check).challenges = challenges(challenge);
        self
    }

    /// Sets what makes the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> ForwardedCertificateLayer<R2> {
        ForwardedCertificateLayer { check: self.check, respond: Responder::set(respond) }
    }
}

impl<S, R: Clone> Layer<S> for ForwardedCertificateLayer<R> {
    type Service = Gate<S, ForwardedCertificateCheck, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Arc::clone(&self.check), self.respond.clone())
    }
}

impl<R: Clone> Clone for ForwardedCertificateLayer<R> {
    fn clone(&self) -> Self {
        Self { check: Arc::clone(&self.check), respond: self.respond.clone() }
    }
}

impl<R> fmt::Debug for ForwardedCertificateLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardedCertificateLayer").field("check", &self.check).finish_non_exhaustive()
    }
}

fn challenges(challenge: Challenge) -> Arc<Challenges> {
    Arc::new(Challenges::new(challenge, &Schemes::new([Arc::new(Bearer::default()) as _]), |_| true))
}

/// The check of [`ForwardedCertificateLayer`].
#[derive(Clone, Debug)]
pub struct ForwardedCertificateCheck {
    challenges: Arc<Challenges>,
    header: CertificateHeader,
    proxies: ProxyMatcher,
}

impl Sealed for ForwardedCertificateCheck {}

impl Check for ForwardedCertificateCheck {
    type Pass = ForwardedCertificate;

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<ForwardedCertificate, Rejection>> {
        if self.proxies.lacks_peer(head) {
            log::error!("the peer address, which distinguishes proxies, is not in the request's extensions");
            return Eventual::Now(Err(Rejection::new(RejectionKind::Internal, Reason::PEER_UNKNOWN)));
        }
        let sender = Sender::of(head, &self.proxies);
        let certificate = match sender {
            Sender::TrustedProxy => self.header.read(head),
            Sender::Other => Ok(None),
        };
        Eventual::Now(match certificate {
            Ok(certificate) => Ok(ForwardedCertificate { certificate, check: Arc::clone(self), sender }),
            Err(reason) => {
                let rejection = Rejection::new(RejectionKind::Malformed, reason);
                Err(rejection.challenged(&self.challenges, Presented::Any))
            }
        })
    }
}

/// The changes that [`ForwardedCertificateLayer`] makes to a request and its response.
#[derive(Debug)]
pub struct ForwardedCertificate {
    certificate: Option<PeerCertificate>,
    check: Arc<ForwardedCertificateCheck>,
    sender: Sender,
}

impl Sealed for ForwardedCertificate {}

impl Pass for ForwardedCertificate {
    fn admit<B>(&mut self, request: &mut Request<B>) {
        self.check.header.strip(request.headers_mut(), self.sender);
        if let Sender::TrustedProxy = self.sender {
            // The proxy's own certificate does not authenticate its client.
            request.extensions_mut().remove::<PeerCertificate>();
            #[cfg(feature = "audit")]
            crate::trail::note(request.extensions(), |notes| {
                notes.certificate = self.certificate.as_ref().map(PeerCertificate::audited);
            });
            if let Some(certificate) = self.certificate.take() {
                request.extensions_mut().insert(certificate);
            }
        }
    }

    fn decorate(&mut self, headers: &mut HeaderMap) {
        if let Sender::TrustedProxy = self.sender {
            // RFC 9440 §2.4: a cached response for one certificate must not be served for another.
            headers.append(header::VARY, self.check.header.name().clone().into());
        }
    }
}
