//! All layers of the crate.
//!
//! Stack them in this order, from the outside to the inside:
//!
//! 1. [`ClientAddressLayer`], if clients connect through a proxy.
//! 2. [`ForwardedCertificateLayer`], if the proxy terminates TLS and forwards client certificates.
//! 3. [`RateLimitLayer`] with limits by client address.
//! 4. [`FailureLimitLayer`], which limits refused credentials.
//! 5. [`AuthLayer`], which authenticates the caller.
//! 6. [`RateLimitLayer`] with limits by principal, and [`ConcurrencyLayer`].
//! 7. [`AuthorizeLayer`], which decides what the caller may do.
//! 8. [`BodyCheckLayer`], which inspects the body of requests that are otherwise admitted.

#[cfg(feature = "body")]
pub use crate::body::BodyCheckLayer;
#[cfg(feature = "certificate")]
pub use crate::certificate::ForwardedCertificateLayer;
#[cfg(feature = "rate-limit")]
pub use crate::rate_limit::{ConcurrencyLayer, FailureLimitLayer, RateLimitLayer};
pub use crate::{auth::AuthLayer, authorize::AuthorizeLayer, request::ClientAddressLayer};
