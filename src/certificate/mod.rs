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
//! each proxy appends an element: select one with [`XfccElement::FromEnd`], and use `SANITIZE_SET` at the outermost proxy.
//! Do not set `uri` and `dns`: Envoy writes these names without quotes, so that a certificate with the URI
//! `spiffe://a,Cert=…` would look like two elements. With `FromEnd`, a field with them is refused.
//!
//! **Istio** writes `By`, `Hash`, `Subject` and `URI`. Its authority chooses the names of all certificates in the mesh, so
//! they can be trusted: configure `envoy` with
//! [`danger_trust_unquoted_names`](CertificateHeader::danger_trust_unquoted_names), and identify callers by
//! [`CertificateName::uri`]. A credential that is bound to a certificate is compared with `Hash`.
//!
//! **nginx**, [`escaped_pem`](CertificateHeader::escaped_pem) with the name `ssl-client-cert`:
//!
//! ```nginx
//! server {
//!     listen 443 ssl;
//!     ssl_certificate /etc/nginx/server.pem;
//!     ssl_certificate_key /etc/nginx/server.key;
//!     ssl_client_certificate /etc/nginx/clients.pem;
//!     ssl_verify_client optional;          # with optional_no_ca: ChainStatus::Unverified
//!
//!     location / {
//!         # In each location, not in the server: a location with a proxy_set_header of its own inherits none. nginx would
//!         # then forward this field as the client sent it, and any client could pass for another.
//!         proxy_set_header ssl-client-cert $ssl_client_escaped_cert;
//!         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
//!         proxy_pass http://127.0.0.1:3000;
//!     }
//! }
//! ```
//!
//! With `optional`, nginx sends no such field for a client without a certificate, and removes one that the client sent. With
//! `optional_no_ca`, it forwards any certificate, verified or not. The proxy may also connect over a Unix socket
//! (`proxy_pass http://unix:/run/api.sock`): see
//! [`trust_unix_sockets`](crate::request::TrustedProxies::trust_unix_sockets).
//!
//! **HAProxy**, [`base64_der`](CertificateHeader::base64_der) with the name `ssl-client-cert`:
//!
//! ```haproxy
//! frontend api
//!     mode http
//!     bind :443 ssl crt /etc/haproxy/server.pem ca-file /etc/haproxy/clients.pem verify optional
//!     # First, and without a condition: otherwise a client without a certificate sends the field itself.
//!     http-request del-header ssl-client-cert
//!     http-request set-header ssl-client-cert %[ssl_c_der,base64] if { ssl_c_used }
//!     option forwardfor
//!     default_backend api
//!
//! backend api
//!     mode http
//!     server api 127.0.0.1:3000
//! ```
//!
//! **Caddy**, [`base64_der`](CertificateHeader::base64_der) with the name `ssl-client-cert`:
//!
//! ```caddyfile
//! https://api.example.com {
//!     tls /etc/caddy/server.pem /etc/caddy/server.key {
//!         client_auth {
//!             # Not request or require: with these modes, Caddy verifies nothing.
//!             mode verify_if_given
//!             trusted_ca_cert_file /etc/caddy/clients.pem
//!         }
//!     }
//!     # By a variable, which is empty for a client without a certificate. In header_up itself, Caddy would write the name
//!     # of an unknown placeholder, which is refused with 400.
//!     vars client_cert {http.request.tls.client.certificate_der_base64}
//!     reverse_proxy 127.0.0.1:3000 {
//!         # In each reverse_proxy.
//!         header_up ssl-client-cert {vars.client_cert}
//!     }
//! }
//! ```
//!
//! **Apache**, [`escaped_pem`](CertificateHeader::escaped_pem) with the name `ssl-client-cert`, with the modules `ssl`,
//! `headers`, `proxy` and `proxy_http`:
//!
//! ```apache
//! <VirtualHost *:443>
//!     SSLEngine on
//!     SSLCertificateFile /etc/apache2/server.pem
//!     SSLCertificateKeyFile /etc/apache2/server.key
//!     SSLCACertificateFile /etc/apache2/clients.pem
//!     # With optional_no_ca: ChainStatus::Unverified.
//!     SSLVerifyClient optional
//!     # set, not add or setifempty. Without a certificate, the field is empty.
//!     RequestHeader set ssl-client-cert "expr=%{escape:%{SSL_CLIENT_CERT}}"
//!     ProxyPass / http://127.0.0.1:3000/
//! </VirtualHost>
//! ```
//!
//! **Traefik**, [`base64_der`](CertificateHeader::base64_der) with the name `x-forwarded-tls-client-cert`, for clients that send
//! no chain:
//!
//! ```yaml
//! tls:
//!   options:
//!     mutual:
//!       clientAuth:
//!         caFiles: [/etc/traefik/clients.pem]
//!         clientAuthType: VerifyClientCertIfGiven
//! http:
//!   middlewares:
//!     remove-certificate:
//!       headers:
//!         customRequestHeaders:
//!           X-Forwarded-Tls-Client-Cert: ""
//!     forward-certificate:
//!       passTLSClientCert:
//!         pem: true
//!   routers:
//!     api:
//!       rule: Host(`api.example.com`)
//!       service: api
//!       tls: { options: mutual }
//!       # In each router, and in this order.
//!       middlewares: [remove-certificate, forward-certificate]
//! ```
//!
//! Traefik sets the field only for a client with a certificate. That of any other client is removed by the entry point, but not
//! with `forwardedHeaders.insecure`, nor if the sender is in `forwardedHeaders.trustedIPs`, as a load balancer in front of Traefik
//! may be. Without the first middleware, the client could then send the certificate of another one, unless `clientAuthType` is
//! `RequireAndVerifyClientCert`.
//!
//! **AWS ALB**, [`alb`](CertificateHeader::alb) for a listener with `mutual-authentication` in the mode `verify`, and
//! [`alb_passthrough`](CertificateHeader::alb_passthrough) for `passthrough`:
//!
//! ```text
//! aws elbv2 modify-listener --listener-arn ARN \
//!     --mutual-authentication 'Mode=verify,TrustStoreArn=ARN'
//! ```
//!
//! With `passthrough`, a client need not have a certificate: test that the load balancer removes a field that such a client
//! sends.
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
