//! For tests of services that are protected by this crate: an issuer in the process, and tokens of every kind.
//!
//! For custom stores, limiters, lists and guards, [`conformance`] has suites of the rules that they must follow.
//!
//! Not for production: keys are made on the spot, and whoever asks gets a token.
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_warden::{
//!     ManualClock, UnixTime,
//!     jwt::{Issuer, Jwt},
//!     layer::AuthLayer,
//!     testing::TestIssuer,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let clock = ManualClock::at(UnixTime::from_secs(1_800_000_000));
//! let issuer = TestIssuer::new("https://issuer.test").environment(&Environment::default().with_clock(clock.clone()));
//! let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.test")?, issuer.clone());
//! let service = AuthLayer::new(jwt).environment(&Environment::default().with_clock(clock.clone())).layer(service_fn(async |_: Request<()>| {
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
//! // The key has left the set, and with it go the tokens that it has signed, cached or not.
//! issuer.rotate();
//! assert_eq!(call(&token).await?, 401);
//!
//! // Time passes when you say so.
//! let token = issuer.token("alice").audience("https://api.test").sign();
//! assert_eq!(call(&token).await?, 200);
//! clock.advance(Duration::from_secs(3_600));
//! assert_eq!(call(&token).await?, 401);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use self::{issuer::TestIssuer, key::SigningKey, token::TokenBuilder};

pub mod conformance;
mod issuer;
mod key;
#[cfg(feature = "dpop")]
mod proof;
mod serve;
mod token;
