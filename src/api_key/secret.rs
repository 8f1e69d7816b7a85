use std::fmt;

use zeroize::Zeroizing;

/// The secret of a minted key, in the clear, to be shown once to its owner.
///
/// It is erased from memory when dropped, its `Debug` prints none of it, and it does not implement `Serialize`.
///
/// # Examples
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

    /// The key in the clear.
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
