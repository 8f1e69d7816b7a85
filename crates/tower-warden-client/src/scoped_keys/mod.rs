//! One API key for each service, with its scopes and its rotation.
//!
//! A key that reaches the wrong service, or leaks there, opens that one only: a value that two services share is an error. The
//! form of each key is checked when it is loaded, so that a line break or a placeholder is an error at start that names the
//! variable, and not a 401 later. Keys are rotated in their [source](crate::secret): [`get`](ScopedKeys::get)
//! returns the new value after the next [refresh](ScopedKeys::refresh), and [token sources](ScopedKeys::token_source) use
//! it with the next request after the source has it.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use tower_warden::{Environment, ManualClock, UnixTime, scope::Scopes};
//! use tower_warden_client::{
//!     scoped_keys::{KeyDeclaration, ScopedKeys},
//!     secret::EnvironmentSecrets,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let day = Duration::from_secs(24 * 3600);
//! let created = UnixTime::from_secs(1_800_000_000);
//! let clock = ManualClock::at(created);
//! let source = EnvironmentSecrets::of([
//!     ("BILLING_API_KEY", "sk_live_0123456789abcdef"), ("REPORTS_API_KEY", "sk live 0123456789abcdef"),
//! ]);
//!
//! let keys = ScopedKeys::builder(source.clone())
//!     .key(KeyDeclaration::new("billing", "BILLING_API_KEY")
//!         .scopes(Scopes::parse("billing:read")?)
//!         .rotation(created, 90 * day))
//!     .environment(&Environment::default().with_clock(clock.clone()))
//!     .load()
//!     .await?;
//! assert_eq!(keys.get("billing").unwrap().secret().expose(), "sk_live_0123456789abcdef");
//! assert!(keys.get("reports").is_none());
//!
//! // Three days before the rotation is due, the key is reported and a warning is logged.
//! clock.advance(87 * day);
//! assert_eq!(keys.needs_rotation()[0].variable(), "BILLING_API_KEY");
//!
//! // A value with spaces is refused, and not printed.
//! let refused = ScopedKeys::builder(source).key(KeyDeclaration::new("reports", "REPORTS_API_KEY")).load().await;
//! let message = refused.unwrap_err().to_string();
//! assert_eq!(message, "REPORTS_API_KEY: a key consists of visible ASCII characters, without spaces");
//! # Ok(()) }
//! ```

pub use self::{
    builder::ScopedKeysBuilder, declaration::KeyDeclaration, key::ServiceKey, keys::ScopedKeys,
    source::ServiceKeySource,
};

mod builder;
mod declaration;
mod key;
mod keys;
mod source;
