//! Authentication.

pub use self::{
    authentication::{Admitted, Authentication},
    authenticator::{Authenticator, Presented},
    layer::AuthLayer,
};

mod authentication;
mod authenticator;
mod evidence;
mod layer;
