//! Authorization: decisions on what an authenticated caller may do.
//!
//! [`AuthorizeLayer`] applies a [`Policy`] to routes: scopes, a [`StepUp`] authentication, a
//! [sender constraint](crate::caller::SenderConstraint), a closure, or a custom policy. In axum handlers,
//! [`Scoped`](crate::axum::Scoped) checks scopes as well.
//!
//! # All scopes of an operation
//!
//! A client obtains the scopes that a challenge names, and no others. If an operation needs several, state them in *one*
//! layer: with [`All`](crate::scope::All), or with [`AuthorizeLayer::and`]. Its challenge names all of them.
//!
//! Layers that are stacked are evaluated from the outside to the inside, and each knows only of those outside. An inner layer,
//! or an extractor, names the scopes of the layers outside as well. An outer layer cannot name those of inner ones: a client
//! without any of the scopes is sent to the authorization server twice. The first such request logs a warning.
//!
//! ```
//! use tower_warden::{layer::AuthorizeLayer, scope::scopes};
//!
//! scopes! {
//!     /// Read balances.
//!     pub BillingRead = "billing:read";
//!     /// Charge a card.
//!     pub BillingWrite = "billing:write";
//! }
//!
//! // One challenge: scope="billing:read billing:write"
//! let charge = AuthorizeLayer::scoped::<BillingRead>()
//!     .and(AuthorizeLayer::scoped::<BillingWrite>())
//!     .and(AuthorizeLayer::when(|caller, _| caller.tenant().is_some()));
//! ```

pub use self::{
    check::{AuthorizationCheck, Authorized},
    layer::AuthorizeLayer,
    policy::Policy,
    step_up::StepUp,
    verdict::Verdict,
};

mod check;
mod layer;
mod policy;
mod reason;
mod required_scopes;
mod step_up;
mod verdict;
