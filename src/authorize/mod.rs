//! Authorization: decisions on what an authenticated caller may do.
//!
//! [`AuthorizeLayer`] applies a [`Policy`] to routes: scopes, a [`StepUp`] authentication, a
//! [sender constraint](crate::caller::SenderConstraint), a closure, or a custom policy. In axum handlers,
//! [`Scoped`](crate::axum::Scoped) checks scopes as well.

pub use self::{
    layer::{Authorization, AuthorizeLayer},
    policy::Policy,
    step_up::StepUp,
};

mod layer;
mod policy;
mod reason;
mod required_scopes;
mod step_up;
