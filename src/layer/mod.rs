//! The layers to stack.
//!
//! From the outside in: [`RateLimitLayer`] by peer, [`FailureLimitLayer`], [`AuthLayer`], [`RateLimitLayer`] by principal,
//! [`ConcurrencyLayer`], [`AuthorizeLayer`]. Behind a proxy that terminates TLS, [`ForwardedCertificateLayer`] stands
//! outside of [`AuthLayer`].

#[cfg(feature = "certificate")]
pub use self::certificate::ForwardedCertificateLayer;
pub use self::{auth::AuthLayer, authorize::AuthorizeLayer};
#[cfg(feature = "rate-limit")]
pub use self::{concurrency::ConcurrencyLayer, failure_limit::FailureLimitLayer, rate_limit::RateLimitLayer};

/// What stands behind the layers, for naming the type of a service.
pub mod check {
    #[cfg(feature = "certificate")]
    pub use super::certificate::{Forwarded, Forwarding};
    pub use super::{
        authentication::{Admitted, Authentication},
        authorize::Authorization,
    };
    #[cfg(feature = "rate-limit")]
    pub use super::{
        concurrency::{Concurrency, ConcurrencyFuture, HeldBody},
        failure_limit::{FailureLimit, Watched},
        rate_limit::{Metered, RateLimit},
    };
}

mod auth;
mod authentication;
mod authorize;
#[cfg(feature = "certificate")]
mod certificate;
#[cfg(feature = "rate-limit")]
mod concurrency;
mod evidence;
#[cfg(feature = "rate-limit")]
mod failure_limit;
#[cfg(feature = "rate-limit")]
mod rate_limit;
