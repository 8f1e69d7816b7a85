//! API keys: stub docs

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::sql::SqlKeyStore;
pub use self::{
    builder::ApiKeysBuilder,
    digest::{KeyDigest, Pepper},
    format::KeyFormat,
    keys::ApiKeys,
    memory::MemoryKeyStore,
    record::{KeyId, KeyRecord, NewKey, Replacement},
    secret::KeySecret,
    store::{KeyChange, KeyError, KeyErrorKind, KeyPage, KeyQuery, KeyStore, KeyUse, KeyWatcher, Watching},
    transfer::{Imported, export, import},
};

mod builder;
mod digest;
mod format;
mod keys;
mod memory;
mod record;
mod secret;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
mod store;
mod transfer;
mod usage;
