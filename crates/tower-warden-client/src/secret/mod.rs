//! Secrets, and the places where they are kept.
//!
//! A [`SecretSource`] returns a [`Versioned`] [`Secret`], and notifies of changes, so that a rotated credential is used without
//! a restart:
//!
//! | source | rotation |
//! |---|---|
//! | [`EnvironmentSecrets`]: environment variables | by a restart |
//! | [`FileSecrets`]: Docker, Kubernetes, systemd | polled, with two valid values for a while |
//! | [`VaultSecrets`]: KV version 2 of Vault | polled, with two valid values for a while |
//! | `AwsSecrets`: AWS Secrets Manager, with the feature `aws` | polled, with two valid values for a while |
//!
//! # Examples
//!
//! A custom source, here of secrets that change when the test says so:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use tower_warden::Eventual;
//! use tower_warden_client::secret::{
//!     ChangeSender, Changes, Secret, SecretError, SecretErrorKind, SecretSource, Versioned,
//! };
//!
//! struct OneSecret {
//!     value: Mutex<Versioned<Secret>>,
//!     changes: ChangeSender,
//! }
//!
//! impl SecretSource for OneSecret {
//!     fn get(&self, name: &str) -> Eventual<Result<Versioned<Secret>, SecretError>> {
//!         let found = if name == "key" { Ok(self.value.lock().unwrap().clone()) } else {
//!             Err(SecretError::new(SecretErrorKind::Missing, name, "there is one secret, named key"))
//!         };
//!         Eventual::Now(found)
//!     }
//!
//!     fn changes(&self) -> Changes {
//!         self.changes.subscribe()
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let source = OneSecret { value: Versioned::new(Secret::new("first"), 1).into(), changes: ChangeSender::default() };
//! let mut changes = source.changes();
//! *source.value.lock().unwrap() = Versioned::new(Secret::new("second"), 2);
//! source.changes.send();
//! assert_eq!(changes.changed().await, Some(1));
//! assert_eq!(source.get("key").wait().await.unwrap().current().expose(), "second");
//! assert!(source.get("other").wait().await.is_err());
//!
//! drop(source);
//! assert_eq!(changes.changed().await, None);
//! # }
//! ```

use std::sync::Arc;

use tower_warden::Eventual;

#[cfg(feature = "aws")]
pub use self::aws::{AwsHttpClient, AwsSecrets};
pub use self::{
    changes::{ChangeSender, Changes},
    environment::EnvironmentSecrets,
    error::{SecretError, SecretErrorKind},
    files::FileSecrets,
    polling::Polling,
    value::Secret,
    vault::VaultSecrets,
    versioned::Versioned,
};
pub(crate) use self::{
    files::read_text,
    input::{NamedSecret, SecretInput},
};

#[cfg(feature = "aws")]
mod aws;
mod changes;
mod environment;
mod error;
mod files;
mod input;
mod polled;
mod polling;
mod value;
mod vault;
mod versioned;

/// Returns secrets by their names. See the [module docs](self) for an implementation.
pub trait SecretSource: Send + Sync + 'static {
    /// Returns the secret in its latest version that is known.
    ///
    /// Called for each request that carries the secret: keep a cache, and return the same `Arc` until the value changes.
    ///
    /// # Errors
    ///
    /// If there is no such secret, or the source cannot be read and the secret has never been read before. The error names
    /// the secret, and does not contain its value.
    fn get(&self, name: &str) -> Eventual<Result<Versioned<Secret>, SecretError>>;

    /// Returns the notifications of changes from now on. By default, there are none.
    fn changes(&self) -> Changes {
        Changes::never()
    }
}

impl<S: SecretSource + ?Sized> SecretSource for Arc<S> {
    fn get(&self, name: &str) -> Eventual<Result<Versioned<Secret>, SecretError>> {
        (**self).get(name)
    }

    fn changes(&self) -> Changes {
        (**self).changes()
    }
}
