//! The layers to stack, from the outside in: [`AuthLayer`], then [`AuthorizeLayer`]; behind a proxy that terminates TLS,
//! `ForwardedCertificateLayer` outside of them.

#[cfg(feature = "certificate")]
pub use self::certificate::ForwardedCertificateLayer;
pub use self::{auth::AuthLayer, authorize::AuthorizeLayer};

/// The checks behind the layers, for naming a [`Gate`](crate::gate::Gate)'s type.
pub mod check {
    #[cfg(feature = "certificate")]
    pub use super::certificate::{Forwarded, Forwarding};
    pub use super::{
        authentication::{Admitted, Authentication},
        authorize::Authorization,
    };
}

mod auth;
mod authentication;
mod authorize;
#[cfg(feature = "certificate")]
mod certificate;
mod evidence;
