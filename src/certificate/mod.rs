//! Client certificates: proof of possession for bound credentials, and authentication by certificate alone.
//!
//! - [`CertificateProof`] accepts credentials that are bound to a certificate: see [bound tokens](#bound-tokens).
//! - [`ClientCertificates`] authenticates callers by their certificate, with a [`CertificateDirectory`] such as a
//!   [`CertificateMap`].
//! - [`ForwardedCertificateLayer`] reads certificates that a proxy forwards: see [behind a proxy](#behind-a-proxy).
//!
//! All of them use the [`PeerCertificate`] in the extensions of a request. It must come from the TLS connection: the
//! `TlsListener` of the crate `tower-warden-tls` inserts it, or [`ForwardedCertificateLayer`] if a proxy terminates TLS. A
//! header field alone is never trusted.
//!
//! # Examples
//!
//! Authentication by certificate alone:
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     AuthMethod, Environment, Identity, Principal,
//!     certificate::{CertificateMap, CertificateName, ChainStatus, ClientCertificates, PeerCertificate},
//!     layer::AuthLayer,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! # let pem = include_str!("../../tests/vectors/rfc9440/leaf.der.base64").trim();
//! # use base64::Engine;
//! # let der = base64::prelude::BASE64_STANDARD.decode(pem)?;
//! let mut billing = Identity::new("billing", AuthMethod::ClientCertificate);
//! billing.scopes = "billing:read".parse()?;
//! let map = CertificateMap::default().with([CertificateName::email("bdc@example.com")], billing);
//! # let clock = tower_warden::ManualClock::at(tower_warden::UnixTime::from_secs(1_600_000_000));
//!
//! let auth = AuthLayer::new(ClientCertificates::new(map));
//! # let auth = auth.environment(&Environment::default().with_clock(clock));
//! let service = ServiceBuilder::new().layer(auth).service_fn(async |request: Request<()>| {
//!     let caller = request.extensions().get::<Principal>().expect("the layer admits no other request");
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::from(caller.subject().to_owned())))
//! });
//! let request = |chain| {
//!     let certificate = PeerCertificate::from_der(&der, chain).expect("a certificate");
//!     Request::builder().extension(certificate).body(()).expect("a request")
//! };
//!
//! assert_eq!(service.clone().oneshot(request(ChainStatus::Verified)).await?.status(), 200);
//! // Anyone can make a certificate with this name.
//! assert_eq!(service.clone().oneshot(request(ChainStatus::Unverified)).await?.status(), 401);
//! assert_eq!(service.oneshot(Request::new(())).await?.status(), 401);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Bound tokens
//!
//! A token with the member `x5t#S256` in its `cnf` claim
//! ([RFC 8705 §3](https://www.rfc-editor.org/rfc/rfc8705#section-3)), and an API key with a
//! [`confirmation`](crate::api_key::NewKey::confirmation), are accepted only from the holder of that certificate. The layer
//! needs [`CertificateProof`] to verify this; without it, a layer refuses bound credentials, never accepts them unverified.
//! [`ClientCertificates`] includes the proof. Any certificate can be bound, self-signed ones too: the chain is not relevant.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
//!     caller::Confirmation,
//!     certificate::{CertificateProof, ChainStatus, PeerCertificate},
//!     layer::AuthLayer,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! # let encoded = include_str!("../../tests/vectors/rfc9440/leaf.der.base64").trim();
//! # use base64::Engine;
//! # let der = base64::prelude::BASE64_STANDARD.decode(encoded)?;
//! let certificate = PeerCertificate::from_der(&der, ChainStatus::Unverified)?;
//! let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent")?);
//! let bound = NewKey::new("agent-7").confirmation(Confirmation::certificate(*certificate.thumbprint()));
//! let (_, key) = keys.mint(bound).await?;
//!
//! let call = async |layer: AuthLayer, certificate: Option<PeerCertificate>| {
//!     let mut request = Request::builder().header("x-api-key", key.expose());
//!     if let Some(certificate) = certificate {
//!         request = request.extension(certificate);
//!     }
//!     let service = ServiceBuilder::new().layer(layer).service_fn(async |_: Request<()>| {
//!         Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::default()))
//!     });
//!     let response = service.oneshot(request.body(()).expect("a request")).await;
//!     response.map(|response| response.status().as_u16())
//! };
//!
//! let auth = AuthLayer::new(keys.clone()).proof(CertificateProof);
//! assert_eq!(call(auth.clone(), Some(certificate.clone())).await?, 200);
//! assert_eq!(call(auth, None).await?, 401);
//! // Without the proof, the bound key is refused.
//! assert_eq!(call(AuthLayer::new(keys), Some(certificate)).await?, 401);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Behind a proxy
//!
//! A proxy that terminates TLS forwards the certificate in a header field, which any other client can send as well. A
//! [`CertificateHeader`] is therefore trusted only together with a [`ProxyMatcher`] that distinguishes proxies from other
//! peers:
//!
//! ```
//! use tower_warden::{
//!     certificate::{CertificateHeader, ChainStatus, ProxyMatcher},
//!     layer::ForwardedCertificateLayer,
//!     request::TrustedProxies,
//! };
//!
//! let proxies = ProxyMatcher::networks(TrustedProxies::new(["10.0.0.0/28".parse()?]));
//! let layer = ForwardedCertificateLayer::new(CertificateHeader::client_cert(ChainStatus::Verified), proxies);
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! Place the layer outside of [`AuthLayer`](crate::layer::AuthLayer), and configure the proxy:
//!
//! **[RFC 9440](https://www.rfc-editor.org/rfc/rfc9440)**, [`client_cert`](CertificateHeader::client_cert): the proxy sends
//! `Client-Cert`, and removes that field and `Client-Cert-Chain` from the requests that it receives.
//!
//! **Envoy**, [`envoy`](CertificateHeader::envoy): in the connection manager,
//!
//! ```text
//! forward_client_cert_details: SANITIZE_SET
//! set_current_client_cert_details: { cert: true }
//! ```
//!
//! with `require_client_certificate` and a `trusted_ca` in the listener's `DownstreamTlsContext`. With `APPEND_FORWARD`,
//! each proxy appends an element: select one with [`XfccElement::FromEnd`].
//!
//! **nginx**, [`escaped_pem`](CertificateHeader::escaped_pem) with the name `ssl-client-cert`:
//!
//! ```text
//! ssl_client_certificate /etc/nginx/clients.pem;
//! ssl_verify_client on;                # with optional_no_ca: ChainStatus::Unverified
//! proxy_set_header ssl-client-cert $ssl_client_escaped_cert;
//! ```
//!
//! With `optional`, nginx sends no such field for a client without a certificate. With `optional_no_ca`, it forwards any
//! certificate, verified or not.
//!
//! **AWS ALB**, [`alb`](CertificateHeader::alb) for a listener with `mutual-authentication` in the mode `verify`, and
//! [`alb_passthrough`](CertificateHeader::alb_passthrough) for `passthrough`:
//!
//! ```text
//! aws elbv2 modify-listener --listener-arn ARN \
//!     --mutual-authentication 'Mode=verify,TrustStoreArn=ARN'
//! ```
//!
//! # Deployment caveat
//!
//! With [`ProxyMatcher::networks`], every peer in the networks is trusted as a proxy: configure only the addresses of the
//! proxies, or let the proxies connect with client certificates and use [`ProxyMatcher::certificates`]. These fields are
//! not fail-safe ([RFC 9440 §4](https://www.rfc-editor.org/rfc/rfc9440#section-4)): a client that reaches the service past
//! the proxy, from a trusted address, can forge any certificate.
//!
//! [`ForwardedCertificateLayer`]: crate::layer::ForwardedCertificateLayer

pub use self::{
    authenticator::ClientCertificates,
    directory::{CertificateDirectory, CertificateMap},
    forwarded::{CertificateHeader, ProxyMatcher, XfccElement},
    layer::{ForwardedCertificate, ForwardedCertificateCheck, ForwardedCertificateLayer},
    name::CertificateName,
    peer::{ChainStatus, MalformedCertificate, PeerCertificate},
    proof::CertificateProof,
};

mod authenticator;
mod directory;
mod forwarded;
mod layer;
mod name;
mod peer;
mod proof;
mod reason;
