//! The layers to stack, from the outside in: [`AuthLayer`], then [`AuthorizeLayer`].

pub use self::{auth::AuthLayer, authorize::AuthorizeLayer};

/// The checks behind the layers, for naming a [`Gate`](crate::gate::Gate)'s type.
pub mod check {
    pub use super::{
        auth::{Admitted, Authentication},
        authorize::Authorization,
    };
}

mod auth;
mod authorize;
