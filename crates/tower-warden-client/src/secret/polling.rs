use std::{fmt, sync::Arc, time::Duration};

use tower_warden::{Clock, Environment};

/// The settings of a source that is read again at an interval.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden_client::secret::{FileSecrets, Polling};
///
/// let polling = Polling::default().interval(Duration::from_secs(30)).overlap(Duration::from_secs(24 * 3600));
/// let secrets = FileSecrets::new("/run/secrets").polling(polling);
/// ```
#[derive(Clone)]
pub struct Polling {
    pub(super) interval: Duration,
    pub(super) overlap: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

impl Polling {
    /// Sets the age after which a secret is read again: ten seconds by default, and one second at least.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_secs(1));
        self
    }

    /// Sets for how long a value remains valid after it was replaced: five minutes by default. Zero ends it at once.
    #[must_use]
    pub const fn overlap(mut self, overlap: Duration) -> Self {
        self.overlap = overlap;
        self
    }

    /// Takes the clock of an environment: the system clock by default.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }
}

impl Default for Polling {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            overlap: Duration::from_secs(300),
            clock: Environment::default().clock(),
        }
    }
}

impl fmt::Debug for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polling")
            .field("interval", &self.interval)
            .field("overlap", &self.overlap)
            .finish_non_exhaustive()
    }
}
