use std::{fmt, sync::Arc};

use http::{HeaderMap, Request, header};
use tower_layer::Layer;

use super::{
    forwarded::{CertificateHeader, ProxyRule, Sender},
    peer::PeerCertificate,
};
use crate::{
    Eventual,
    gate::{Check, Gate, Pass, sealed::Sealed},
    refusal::Problem,
    refusal::{Rejection, RejectionKind},
    request::Head,
    scheme::{Bearer, Challenge, Challenges, Presented, Schemes},
};

/// Believes what trusted proxies say of a client's certificate, and nobody else.
///
/// Stands outside of [`AuthLayer`](crate::layer::AuthLayer). For each request:
///
/// 1. From a proxy, the certificate in the field becomes the request's
///    [`PeerCertificate`], in the place of the proxy's own. A field that is
///    there twice, or malformed, is refused with 400.
/// 2. From anybody else, the request keeps the certificate of its own connection, and the field is removed.
/// 3. What answers a proxy's request varies by the field (RFC 9440 §2.4).
/// 4. Fields of other proxies, and names that differ in `_` and `-` alone, are removed whoever sent them.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_warden::{
///     certificate::{CertificateHeader, ChainStatus, PeerCertificate, ProxyRule},
///     layer::ForwardedCertificateLayer,
///     request::Peer,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let proxies = ProxyRule::trusted(TrustedProxies::new(["10.0.0.0/28".parse()?]));
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
    forwarding: Arc<Forwarding>,
    respond: R,
}

impl ForwardedCertificateLayer {
    /// Reads the field of a proxy, if the request comes from one.
    #[must_use]
    pub fn new(header: CertificateHeader, proxies: ProxyRule) -> Self {
        let forwarding = Forwarding { challenges: challenges(Challenge::default()), header, proxies };
        Self { forwarding: Arc::new(forwarding), respond: Problem }
    }
}

impl<R> ForwardedCertificateLayer<R> {
    /// What refusals tell clients: the realm `api` by default.
    #[must_use]
    pub fn challenge(mut self, challenge: Challenge) -> Self {
        Arc::make_mut(&mut self.forwarding).challenges = challenges(challenge);
        self
    }

    /// Makes the body of refusals: [`Problem`] by default.
    #[must_use]
    pub fn respond_with<R2>(self, respond: R2) -> ForwardedCertificateLayer<R2> {
        ForwardedCertificateLayer { forwarding: self.forwarding, respond }
    }
}

impl<S, R: Clone> Layer<S> for ForwardedCertificateLayer<R> {
    type Service = Gate<S, Forwarding, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Arc::clone(&self.forwarding), self.respond.clone())
    }
}

impl<R: Clone> Clone for ForwardedCertificateLayer<R> {
    fn clone(&self) -> Self {
        Self { forwarding: Arc::clone(&self.forwarding), respond: self.respond.clone() }
    }
}

impl<R> fmt::Debug for ForwardedCertificateLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardedCertificateLayer").field("forwarding", &self.forwarding).finish_non_exhaustive()
    }
}

fn challenges(challenge: Challenge) -> Arc<Challenges> {
    Arc::new(Challenges::new(challenge, &Schemes::new([Arc::new(Bearer::default()) as _])))
}

/// The check of [`ForwardedCertificateLayer`].
#[derive(Clone, Debug)]
pub struct Forwarding {
    challenges: Arc<Challenges>,
    header: CertificateHeader,
    proxies: ProxyRule,
}

impl Sealed for Forwarding {}

impl Check for Forwarding {
    type Pass = Forwarded;

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<Forwarded, Rejection>> {
        let sender = Sender::of(head, &self.proxies);
        let certificate = match sender {
            Sender::Proxy => self.header.read(head),
            Sender::Stranger => Ok(None),
        };
        Eventual::Now(match certificate {
            Ok(certificate) => Ok(Forwarded { certificate, forwarding: Arc::clone(self), sender }),
            Err(reason) => {
                let rejection = Rejection::new(RejectionKind::Malformed, reason);
                Err(rejection.challenged(&self.challenges, Presented::Any))
            }
        })
    }
}

/// What [`ForwardedCertificateLayer`] leaves on a request.
#[derive(Debug)]
pub struct Forwarded {
    certificate: Option<PeerCertificate>,
    forwarding: Arc<Forwarding>,
    sender: Sender,
}

impl Sealed for Forwarded {}

impl Pass for Forwarded {
    fn admit<B>(&mut self, request: &mut Request<B>) {
        self.forwarding.header.strip(request.headers_mut(), self.sender);
        if let Sender::Proxy = self.sender {
            // The proxy's own certificate is not its client's.
            request.extensions_mut().remove::<PeerCertificate>();
            if let Some(certificate) = self.certificate.take() {
                request.extensions_mut().insert(certificate);
            }
        }
    }

    fn decorate(&mut self, headers: &mut HeaderMap) {
        if let Sender::Proxy = self.sender {
            // RFC 9440 §2.4: what a cache keeps for one certificate is not for another.
            headers.append(header::VARY, self.forwarding.header.name().clone().into());
        }
    }
}
