//! Replacing hand-written middleware step by step.
//!
//! # API keys in a table
//!
//! 1. If the keys are stored as SHA-256, they can be [imported](crate::api_key::import): write one JSON object for each key,
//!    with its digest. Keys stored in clear are hashed on the way. Keys stored with bcrypt or Argon2 cannot be looked up by
//!    digest; issue new ones.
//! 2. Accept the old form of keys beside the new one, with [`KeyFormat::opaque`](crate::api_key::KeyFormat::opaque) in
//!    [`accept_format`](crate::api_key::ApiKeysBuilder::accept_format).
//! 3. Replace the middleware by [`AuthLayer`](crate::layer::AuthLayer), and reads of its request extension by
//!    [`Principal`](crate::Principal) in the handlers.
//! 4. [Rotate](crate::api_key::ApiKeys::rotate) the old keys with a grace period. When none is left, remove the old format.
//!
//! ```
//! use tower_warden::api_key::{ApiKeys, KeyFormat, MemoryKeyStore};
//!
//! let keys = ApiKeys::builder(MemoryKeyStore::default(), KeyFormat::new("sk_live")?)
//!     .accept_format(KeyFormat::opaque("legacy-")?)
//!     .build();
//!
//! assert!(KeyFormat::new("contains spaces").is_err());
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! # A function that decodes JWTs
//!
//! Hand-written verification usually accepts more than this crate. Before the switch, compare the tokens of your issuer with
//! the list in [`jwt`](crate::jwt), and the settings in [`issuers`](super::issuers). The usual differences:
//!
//! | hand-written code | this crate |
//! |---|---|
//! | does not check `aud` | `aud` is required, and compared byte for byte |
//! | accepts any `alg` that the library knows | the key determines the algorithm |
//! | fetches the key set for every unknown `kid` | one fetch in 30 seconds on average |
//! | treats an invalid token on a public route as anonymous | 401 |
//! | responds with 401 if the key set cannot be fetched | 503 |
//! | reads roles from a nested claim | [`roles_claim`](crate::jwt::Issuer::roles_claim) with a JSON pointer |
//!
//! The refusals of a trial run are in the log at the level debug, with their [reasons](super::refusals).
//!
//! # Scopes and roles
//!
//! Checks of strings in handlers become types: [`scopes!`](crate::scope::scopes) declares one for each scope, and
//! [`Scoped`](crate::axum::Scoped) in the arguments of a handler refuses callers without it. Roles and tenants are properties
//! of the [`Principal`](crate::Principal): a [`RoleLayer`](crate::layer::RoleLayer) adds the scopes of roles,
//! [`OwnTenant`](crate::authorize::OwnTenant) compares the tenant with that of the path, and
//! [policies](crate::authorize) decide by other properties.
//!
//! # Limits
//!
//! `tower_governor` and similar layers limit by address. [`RateLimitLayer`](crate::layer::RateLimitLayer) does too, and after
//! `AuthLayer` also by caller, tenant or key, with quotas for each tier.
