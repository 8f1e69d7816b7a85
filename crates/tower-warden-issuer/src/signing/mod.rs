//! The keys that sign access tokens.

pub(crate) use self::key::encode;
pub use self::{
    encryption::{EncryptionKey, EncryptionKeys},
    error::SigningKeysError,
    key::SigningKey,
    keys::SigningKeys,
    store::{EncryptedKeys, SigningKeyStore},
    stored::StoredKeys,
};

mod encryption;
mod error;
mod key;
mod keys;
mod ring;
mod store;
mod stored;
mod synchronization;
