//! Refresh tokens: opaque, rotated, in families.

use std::{fmt, sync::Arc, time::Duration};

use tower_warden::ConfigError;

pub use self::{
    family::{FamilyStatus, RefreshFamily, Rotation, RotationOutcome},
    issue::{IssueError, RefreshTokenRequest},
    memory::MemoryRefreshStore,
    revoker::Revoker,
    store::RefreshStore,
    token::RefreshSecret,
};
pub(crate) use self::{
    found::FoundToken,
    issue::FamilyStart,
    token::{RefreshToken, random},
};

mod family;
mod found;
mod issue;
mod memory;
mod revoker;
mod store;
mod token;

/// The settings of refresh tokens.
///
/// Each token is used once, and yields a new one: the tokens that follow from one another are a family. A token that is used
/// again was stolen, or its successor was: the family is revoked, and so are its access tokens, by the claim `sid`
/// ([RFC 9700 §4.14.2](https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2)).
///
/// A client whose response was lost may use the last token again for a few seconds, and gets the same successor.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::revocation::MemoryRevocationList;
/// use tower_warden_issuer::{MemoryRefreshStore, RefreshTokens};
///
/// let refresh = || RefreshTokens::new(MemoryRefreshStore::default(), MemoryRevocationList::default());
/// let settings = refresh().idle_lifetime(Duration::from_secs(3600))?.grace(Duration::from_secs(5))?;
/// assert!(refresh().grace(Duration::from_secs(60)).is_err(), "long enough to use a stolen token");
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct RefreshTokens {
    pub(crate) absolute: Duration,
    pub(crate) grace: Duration,
    pub(crate) idle: Duration,
    pub(crate) revoker: Arc<dyn Revoker>,
    pub(crate) store: Arc<dyn RefreshStore>,
}

impl RefreshTokens {
    /// Families that are kept in a store, and whose access tokens are revoked by a list: the one that the
    /// [`AuthLayer`](tower_warden::layer::AuthLayer) of each API queries.
    #[must_use]
    pub fn new(store: impl RefreshStore, revoker: impl Revoker) -> Self {
        Self {
            absolute: Duration::from_secs(30 * 24 * 3600),
            grace: Duration::from_secs(10),
            idle: Duration::from_secs(7 * 24 * 3600),
            revoker: Arc::new(revoker),
            store: Arc::new(store),
        }
    }

    /// Sets the lifetime of a family, in whole seconds, however often it is used: 30 days by default.
    ///
    /// # Errors
    ///
    /// If it is less than an hour, or more than 366 days.
    pub fn absolute_lifetime(mut self, lifetime: Duration) -> Result<Self, ConfigError> {
        self.absolute = checked(lifetime)?;
        Ok(self)
    }

    /// Sets for how long the last token of a family may be used again, in whole seconds: 10 by default. Zero disables it.
    ///
    /// # Errors
    ///
    /// If it is more than 30 seconds.
    pub fn grace(mut self, grace: Duration) -> Result<Self, ConfigError> {
        if grace > Duration::from_secs(30) {
            let message = "a used refresh token is accepted for up to 30 seconds";
            return Err(ConfigError::custom(message).value(format_args!("{grace:?}")));
        }
        self.grace = grace;
        Ok(self)
    }

    /// Sets the lifetime of a family that is not used, in whole seconds: 7 days by default.
    ///
    /// # Errors
    ///
    /// If it is less than an hour, or more than 366 days.
    pub fn idle_lifetime(mut self, lifetime: Duration) -> Result<Self, ConfigError> {
        self.idle = checked(lifetime)?;
        Ok(self)
    }
}

impl fmt::Debug for RefreshTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshTokens")
            .field("absolute", &self.absolute)
            .field("grace", &self.grace)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

fn checked(lifetime: Duration) -> Result<Duration, ConfigError> {
    if (3600..=366 * 24 * 3600).contains(&lifetime.as_secs()) {
        Ok(lifetime)
    } else {
        let message = "the lifetime of refresh tokens is one hour to 366 days";
        Err(ConfigError::custom(message).value(format_args!("{lifetime:?}")))
    }
}
