//! A key in the clear.

use std::fmt;

use zeroize::Zeroizing;

/// A key in the clear, to be shown once to whom it was minted for.
///
/// It is wiped when dropped, prints nothing of itself, and cannot be serialised:
///
/// ```
/// # let secret = tower_warden::api_key::KeyFormat::new("sk")?.generate()?;
/// assert_eq!(format!("{secret:?}"), "KeySecret(..)");
/// println!("your key, shown once: {}", secret.expose());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
///
/// ```compile_fail
/// # let secret = tower_warden::api_key::KeyFormat::new("sk").unwrap().generate().unwrap();
/// serde_json::to_string(&secret);
/// ```
pub struct KeySecret(Zeroizing<String>);

impl KeySecret {
    pub(super) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(..)")
    }
}
