//! Permissions that follow from roles.

#[cfg(any(feature = "api-key", feature = "jwt"))]
pub use self::cached::{CachedRoles, CachedRolesBuilder};
#[cfg(all(feature = "api-key", feature = "axum"))]
pub(crate) use self::passed::PassedRoles;
pub use self::{
    check::{Granted, RoleCheck},
    directory::{RoleDirectory, RoleQuery},
    layer::RoleLayer,
    map::RoleMap,
};

#[cfg(any(feature = "api-key", feature = "jwt"))]
mod cached;
mod check;
mod directory;
mod layer;
mod map;
#[cfg(all(feature = "api-key", feature = "axum"))]
mod passed;
