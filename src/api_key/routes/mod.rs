//! Routes to manage keys.

pub use self::{
    rights::KeysAdmin,
    router::{KeyRoutes, key_routes},
};

mod body;
mod error;
mod handlers;
mod logged_change;
mod rights;
mod router;
