//! Client certificates: as proof that a caller may use a token, and as an authentication of their own.
//!
//! Each request carries the [`PeerCertificate`] of its connection in its extensions, and what was put there from outside
//! of HTTP is all that counts: the [TLS listener](crate::tls) puts it there, or, where a proxy terminates TLS,
//! [`ForwardedCertificateLayer`](crate::layer::ForwardedCertificateLayer).
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_warden::{
//!     AuthMethod, Identity, Principal,
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
//!     let caller = request.extensions().get::<Principal>().expect("the layer lets no other request through");
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::from(caller.subject().to_owned())))
//! });
//! let request = |chain| {
//!     let certificate = PeerCertificate::from_der(&der, chain).expect("a certificate");
//!     Request::builder().extension(certificate).body(()).expect("a request")
//! };
//!
//! assert_eq!(service.clone().oneshot(request(ChainStatus::Verified)).await?.status(), 200);
//! // Anybody can make a certificate that says so.
//! assert_eq!(service.clone().oneshot(request(ChainStatus::Unverified)).await?.status(), 401);
//! assert_eq!(service.oneshot(Request::new(())).await?.status(), 401);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Bound tokens
//!
//! A token with `cnf` and `x5t#S256`, RFC 8705 §3, and an API key with a
//! [`confirmation`](crate::api_key::NewKey::confirmation), are good in the hand of the certificate's holder only. Nothing
//! has to be switched on for that, and nothing can be switched off. Who issued the certificate makes no difference.
//!
//! # Behind a proxy
//!
//! Where a proxy terminates TLS, it passes the certificate on in a header field, which anybody else may send too. So
//! a [`CertificateHeader`] counts only together with a [`ProxyRule`] that tells proxies from others:
//!
//! ```
//! use tower_warden::{
//!     certificate::{CertificateHeader, ChainStatus, ProxyRule},
//!     layer::ForwardedCertificateLayer,
//! };
//!
//! let proxies = ProxyRule::trusted(TrustedProxies::new(["10.0.0.0/28".parse()?]));
//! let layer = ForwardedCertificateLayer::new(CertificateHeader::client_cert(ChainStatus::Verified), proxies);
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! It stands outside of [`AuthLayer`](crate::layer::AuthLayer). What each proxy has to be told:
//!
//! **RFC 9440**, [`client_cert`](CertificateHeader::client_cert): the proxy sends `Client-Cert`, and removes that field
//! and `Client-Cert-ChainStatus` from what comes in.
//!
//! **Envoy**, [`envoy`](CertificateHeader::envoy): in the connection manager,
//!
//! ```text
//! forward_client_cert_details: SANITIZE_SET
//! set_current_client_cert_details: { cert: true }
//! ```
//!
//! with `require_client_certificate` and a `trusted_ca` in the listener's `DownstreamTlsContext`. With `APPEND_FORWARD`
//! there is an element for each proxy: name yours by [`XfccElement::FromEnd`].
//!
//! **nginx**, [`escaped_pem`](CertificateHeader::escaped_pem) with the name `ssl-client-cert`:
//!
//! ```text
//! ssl_client_certificate /etc/nginx/clients.pem;
//! ssl_verify_client on;                # optional_no_ca: ChainStatus::Unverified
//! proxy_set_header ssl-client-cert $ssl_client_escaped_cert;
//! ```
//!
//! With `optional`, nginx sends an empty field where there is no certificate, and with `optional_no_ca` anybody's.
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
//! A rule of networks says that everything in them is a proxy: name as few addresses as there are proxies, or have the
//! proxies come with certificates of their own and name those. RFC 9440 §4 says of its fields that they do not fail safe.

pub use self::{
    authenticator::{CertificateDirectory, CertificateMap, ClientCertificates},
    forwarded::{CertificateHeader, ProxyRule, XfccElement},
    layer::{Forwarded, ForwardedCertificateLayer, Forwarding},
    name::CertificateName,
    peer::{ChainStatus, MalformedCertificate, PeerCertificate},
    proof::CertificateProof,
};

mod authenticator;
mod forwarded;
mod layer;
mod name;
mod peer;
mod proof;
mod reason;
