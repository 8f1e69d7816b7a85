//! Test support for services that are protected by this crate: fake callers, and an issuer of real tokens.
//!
//! For custom stores, limiters, lists and guards, [`conformance`] has suites of the rules that they must follow.
//!
//! Do not use it in production: keys are generated on demand, and every request for a token succeeds.
//!
//! # Testing handlers
//!
//! A handler with the extractor [`Principal`](crate::Principal) or `Scoped` needs a caller, and only an
//! [`AuthLayer`](crate::layer::AuthLayer) creates one, in tests as well. So a test puts the routes of the application under
//! a layer for fake callers, instead of the layers of production:
//!
//! - Keep the routes in a function without layers, such as `fn routes() -> Router`, and add the layers in `main`.
//! - `TestKeys`, with the feature `api-key`, mints API keys of any subject, tenant, tier and scopes, and makes the layer:
//!   `routes().layer(callers.layer())`. Its docs have an example.
//! - A request without credentials tests that a route is protected: it responds with 401 under the layer, and with 500
//!   without one.
//! - For callers with claims, roles or an issuer, use a [`TestIssuer`], or an authenticator of fake callers as below.
//! - A [`ManualClock`](crate::ManualClock) in the [`Environment`](crate::Environment) sets the time, for example to let a
//!   credential expire.
//!
//! # Fake callers
//!
//! An [`Authenticator`](crate::Authenticator) that accepts the names of test callers as tokens:
//!
//! ```
//! use std::{collections::HashMap, sync::Arc};
//! use axum::{Router, body::Body, http::Request, routing::get};
//! use tower::ServiceExt;
//! use tower_warden::{
//!     AuthMethod, Authenticator, Eventual, Identity, Presented, Reason, Rejection, RejectionKind,
//!     axum::Scoped,
//!     layer::AuthLayer,
//!     scheme::{Bearer, Credential, CredentialKind, Scheme},
//!     scope::{Scopes, scopes},
//! };
//!
//! scopes! {
//!     /// Read balances.
//!     pub BillingRead = "billing:read";
//! }
//!
//! /// The routes of the application, without its layers.
//! fn routes() -> Router {
//!     Router::new().route("/balance", get(async |_: Scoped<BillingRead>| "12 EUR"))
//! }
//!
//! /// Callers by token.
//! struct FakeCallers(HashMap<&'static str, Arc<Identity>>);
//!
//! impl Authenticator for FakeCallers {
//!     fn schemes(&self) -> Vec<Arc<dyn Scheme>> {
//!         vec![Arc::new(Bearer::default())]
//!     }
//!
//!     fn accepts(&self, credential: &Credential<'_>) -> bool {
//!         credential.kind() == CredentialKind::AccessToken
//!     }
//!
//!     fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
//!         let unknown = || Rejection::new(RejectionKind::Invalid, Reason::custom("not_a_fake_caller"));
//!         Eventual::Now(self.0.get(presented.credential.text()).cloned().ok_or_else(unknown))
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let mut alice = Identity::new("alice", AuthMethod::Custom("fake"));
//! alice.tenant = Some("acme".into());
//! alice.scopes = Scopes::parse("billing:read")?;
//! let bob = Identity::new("bob", AuthMethod::Custom("fake"));
//! let callers = FakeCallers(HashMap::from([("alice", Arc::new(alice)), ("bob", Arc::new(bob))]));
//!
//! let app = routes().layer(AuthLayer::new(callers));
//! let call = |token: &str| {
//!     let request = Request::get("/balance").header("authorization", format!("Bearer {token}"));
//!     app.clone().oneshot(request.body(Body::empty()).expect("a request"))
//! };
//! assert_eq!(call("alice").await?.status(), 200);
//! assert_eq!(call("bob").await?.status(), 403);
//! assert_eq!(call("mallory").await?.status(), 401);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Tokens of a test issuer
//!
//! To test the whole stack, including the configuration of [`Jwt`](crate::jwt::Jwt), use a [`TestIssuer`]. It signs tokens
//! with any claims, rotates keys, and can be unavailable. A [`ManualClock`](crate::ManualClock) sets the time:
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_warden::{
//!     Environment, ManualClock, UnixTime,
//!     jwt::{Issuer, Jwt},
//!     layer::AuthLayer,
//!     testing::TestIssuer,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let clock = ManualClock::at(UnixTime::from_secs(1_800_000_000));
//! let environment = Environment::default().with_clock(clock.clone());
//! let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
//! let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.test")?, issuer.clone());
//! let service = AuthLayer::new(jwt).environment(&environment).layer(service_fn(async |_: Request<()>| {
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
//! }));
//! let call = async |token: &str| {
//!     let request = Request::builder().header("authorization", format!("Bearer {token}")).body(());
//!     service.clone().oneshot(request.expect("a request")).await.map(|response| response.status().as_u16())
//! };
//!
//! let token = issuer.token("alice").audience("https://api.test").scope("billing:read").sign();
//! assert_eq!(call(&token).await?, 200);
//! assert_eq!(call(&issuer.token("alice").audience("https://other.test").sign()).await?, 401);
//!
//! // Tokens of a key that was removed from the set are refused, even if they are cached.
//! issuer.rotate();
//! assert_eq!(call(&token).await?, 401);
//!
//! let token = issuer.token("alice").audience("https://api.test").sign();
//! assert_eq!(call(&token).await?, 200);
//! clock.advance(Duration::from_secs(3_600));
//! assert_eq!(call(&token).await?, 401);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "api-key")]
pub use self::keys::TestKeys;
pub use self::{issuer::TestIssuer, key::SigningKey, routes::assert_protected, token::TokenBuilder};

pub mod conformance;
mod issuer;
mod key;
#[cfg(feature = "api-key")]
mod keys;
#[cfg(feature = "dpop")]
mod proof;
mod routes;
mod serve;
mod token;
