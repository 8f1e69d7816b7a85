//! The clients, refresh tokens and signing keys of an issuer.

pub use self::{
    clients::{RegisteredClient, SqlClientStore},
    error::{IssuerStoreError, IssuerStoreErrorKind, MalformedClient},
    refresh::SqlRefreshStore,
    signing::SqlSigningKeyStore,
    store::SqlIssuerStore,
};

mod clients;
mod error;
mod refresh;
mod signing;
mod store;
mod tasks;
