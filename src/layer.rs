//! All layers of the crate.
//!
//! Stack them in this order, from the outside to the inside:
//!
//! 1. [`PeerLayer`], if the server stores the address of its connections in a type of its own, as tonic does, or listens on
//!    a Unix socket; and [`AuditLayer`], which records one event for each request.
//! 2. [`ConcealLayer`], which hides credentials from the log layers, and then the log layers; [`DrainLayer`] if the
//!    server is not axum's, or with one of the layers that read bodies: [`BodyCheckLayer`], [`WebhookLayer`] and
//!    [`McpGuardLayer`].
//! 3. [`ClientAddressLayer`], if clients connect through a proxy.
//! 4. [`ForwardedCertificateLayer`], if the proxy terminates TLS and forwards client certificates.
//! 5. [`RateLimitLayer`] with limits by client address.
//! 6. [`FailureLimitLayer`], which limits refused credentials.
//! 7. [`AuthLayer`], which authenticates the caller.
//! 8. [`StreamGuardLayer`], which ends responses whose credential expires or is revoked while they are sent.
//! 9. [`RateLimitLayer`] with limits by principal, and [`ConcurrencyLayer`].
//! 10. [`RoleLayer`], which adds the scopes that the caller has by its roles.
//! 11. [`AuthorizeLayer`], which decides what the caller may do: all scopes of an operation in one layer.
//! 12. [`BodyCheckLayer`], which inspects the body of requests that are otherwise admitted. Exception:
//!     `ContentDigestCheck`, for signed requests, is outside of `AuthLayer`, and a limit by client address outside of it.
//! 13. [`McpGuardLayer`], in front of an MCP server: it decides about the calls in the body.
//!
//! [`WebhookLayer`] is in the place of `AuthLayer` where the senders of webhooks sign their requests.
//!
//! [`RefusalBodyLayer`] is placed directly outside of a layer that changes the type of response bodies, such as `TraceLayer`, if
//! layers outside of it refuse.
//!
//! The first layer of a `ServiceBuilder` is the outermost one. In axum, the last `.layer` call of a router adds the outermost
//! one.

#[cfg(feature = "audit")]
pub use crate::audit::AuditLayer;
#[cfg(feature = "body")]
pub use crate::body::BodyCheckLayer;
#[cfg(feature = "certificate")]
pub use crate::certificate::ForwardedCertificateLayer;
#[cfg(feature = "drain")]
pub use crate::drain::DrainLayer;
#[cfg(feature = "mcp")]
pub use crate::mcp::McpGuardLayer;
#[cfg(feature = "rate-limit")]
pub use crate::rate_limit::{ConcurrencyLayer, FailureLimitLayer, RateLimitLayer};
#[cfg(feature = "signature")]
pub use crate::signature::{SignResponseLayer, StreamedContentLayer, webhook::WebhookLayer};
#[cfg(feature = "stream")]
pub use crate::stream::StreamGuardLayer;
pub use crate::{
    auth::{AuthLayer, ConcealLayer},
    authorize::{AuthorizeLayer, RoleLayer},
    refusal::RefusalBodyLayer,
    request::{ClientAddressLayer, PeerLayer},
};
