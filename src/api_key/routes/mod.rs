//! Routes to manage keys.

pub use self::{
    rights::KeysAdmin,
    router::{KeyRoutes, key_routes},
};

mod body;
mod error;
mod handlers;
mod rights;
mod router;
