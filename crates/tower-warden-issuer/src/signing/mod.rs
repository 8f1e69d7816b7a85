//! The keys that sign access tokens.

pub(crate) use self::key::encode;
pub use self::{key::SigningKey, keys::SigningKeys};

mod key;
mod keys;
