use tower_warden::{ConfigError, Unavailable};

/// The reason why signing keys were not loaded or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningKeysError {
    /// The configuration does not fit what is stored, such as a wrong encryption key; or the change is not possible.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// The store did not answer, or the system's random generator failed.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
