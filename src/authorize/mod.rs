//! Authorization.

pub use self::{
    layer::{Authorization, AuthorizeLayer},
    policy::Policy,
    step_up::StepUp,
};

mod layer;
mod policy;
mod reason;
mod step_up;
