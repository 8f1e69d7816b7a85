//! The layers to stack.
//!
//! From the outside in: [`RateLimitLayer`] by peer, [`FailureLimitLayer`], [`AuthLayer`], [`RateLimitLayer`] by principal,
//! [`ConcurrencyLayer`], [`AuthorizeLayer`], [`BodyCheckLayer`]. Behind a proxy that terminates TLS,
//! [`ForwardedCertificateLayer`] stands outside of [`AuthLayer`].

#[cfg(feature = "body")]
pub use crate::body::BodyCheckLayer;
#[cfg(feature = "certificate")]
pub use crate::certificate::ForwardedCertificateLayer;
#[cfg(feature = "rate-limit")]
pub use crate::rate_limit::{ConcurrencyLayer, FailureLimitLayer, RateLimitLayer};
pub use crate::{auth::AuthLayer, authorize::AuthorizeLayer, request::ClientAddressLayer};
