use std::{fmt, sync::Arc};

use tower_warden::UnixTime;

use super::secret::SecretText;

/// A refresh token, wiped when the last clone is dropped.
///
/// # Examples
///
/// ```
/// use tower_warden_client::RefreshToken;
///
/// let refresh = RefreshToken::new("rt-secret");
/// assert_eq!(refresh.expose(), "rt-secret");
/// assert!(!format!("{refresh:?}").contains("rt-secret"));
/// ```
#[derive(Clone)]
pub struct RefreshToken {
    expires_at: Option<UnixTime>,
    text: Arc<SecretText>,
}

impl RefreshToken {
    /// Creates a token of which it is not known when it expires.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { expires_at: None, text: Arc::new(SecretText::new(text)) }
    }

    /// Sets the time of its expiry.
    #[must_use]
    pub const fn expires_at(mut self, time: UnixTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// The text, for a request or a store.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// The time of its expiry, if it is known.
    #[must_use]
    pub const fn expiry(&self) -> Option<UnixTime> {
        self.expires_at
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
