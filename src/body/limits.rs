use std::{ops::RangeInclusive, time::Duration};

use crate::error::{ConfigError, ConfigErrorKind};

const BYTES: RangeInclusive<usize> = 1..=256 << 20;
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);

/// The size of a request's body, and the time within which it must arrive completely.
///
/// By default, 1 MiB and 10 seconds.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::body::BodyLimits;
///
/// let limits = BodyLimits::new(64 * 1024, Duration::from_secs(5))?;
/// assert_eq!(limits.max_bytes(), 65_536);
///
/// let error = BodyLimits::new(0, Duration::from_secs(5)).unwrap_err();
/// assert_eq!(error.to_string(), r#"a body is limited to 1 byte up to 256 MiB: got "0""#);
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct BodyLimits {
    max_bytes: usize,
    timeout: Duration,
}

impl BodyLimits {
    /// Limits the size and the time.
    ///
    /// # Errors
    ///
    /// If `max_bytes` is not 1 byte up to 256 MiB, or `timeout` is not 1 millisecond up to 10 minutes.
    pub fn new(max_bytes: usize, timeout: Duration) -> Result<Self, ConfigError> {
        let refused = |message| ConfigError::new(ConfigErrorKind::BodyLimits, message);
        if !BYTES.contains(&max_bytes) {
            return Err(refused("a body is limited to 1 byte up to 256 MiB").value(max_bytes));
        }
        if !TIMEOUT.contains(&timeout) {
            let error = refused("the time for reading a body is 1 millisecond up to 10 minutes");
            return Err(error.value(format_args!("{timeout:?}")));
        }
        Ok(Self { max_bytes, timeout })
    }

    /// The largest size that is accepted, in bytes.
    #[must_use]
    pub const fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The time within which the body must arrive completely, from the first attempt to read it.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { max_bytes: 1 << 20, timeout: Duration::from_secs(10) }
    }
}
