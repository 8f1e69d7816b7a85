use std::fmt;

use tower_warden::Digest;
use zeroize::Zeroizing;

/// A credential in memory: an API key, a client secret, a private key in PEM.
///
/// The memory is overwritten when the value is dropped. `Debug` prints `Secret(..)`. There is no `Display`, `Clone` or
/// `Serialize`, so a secret does not get into a log line, a checkpoint or a prompt by a derive: [`expose`](Self::expose) and
/// [`duplicate`](Self::duplicate) are the two ways out, and both are found by their name. Share a secret as `Arc<Secret>`.
///
/// # Examples
///
/// ```
/// use tower_warden_client::secret::Secret;
///
/// let secret = Secret::new("sk_live_0123456789abcdef");
/// assert_eq!(secret.expose(), "sk_live_0123456789abcdef");
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// assert!(secret == secret.duplicate());
/// assert!(secret != Secret::new("sk_live_of_another_service"));
/// ```
///
/// A secret is not cloned by accident:
///
/// ```compile_fail,E0277
/// fn store<T: Clone>(value: T) {}
///
/// store(tower_warden_client::secret::Secret::new("sk_live_0123456789abcdef"));
/// ```
///
/// It is not displayed:
///
/// ```compile_fail,E0277
/// fn print<T: std::fmt::Display>(value: T) {}
///
/// print(tower_warden_client::secret::Secret::new("sk_live_0123456789abcdef"));
/// ```
///
/// And it is not serialized:
///
/// ```compile_fail,E0277
/// fn save<T: serde::Serialize>(value: T) {}
///
/// save(tower_warden_client::secret::Secret::new("sk_live_0123456789abcdef"));
/// ```
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over the text of a credential.
    ///
    /// Pass the `String` itself if there is one: a copy that the caller keeps is not overwritten.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the text.
    ///
    /// Whatever is made of it is no longer protected: put it into a header field that is marked as sensitive, and nowhere
    /// else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Copies the secret. An `Arc<Secret>` needs no copy.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::new(self.0.as_str())
    }
}

impl Eq for Secret {}

/// Takes as long for any two secrets of the same lengths, wherever they differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        Digest::of(self.0.as_bytes()) == Digest::of(other.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::*;

    #[test]
    fn a_secret_is_overwritten_when_it_is_dropped() {
        fn is_overwritten(_: &impl ZeroizeOnDrop) {}

        is_overwritten(&Secret::new("sk_live_0123456789abcdef").0);
    }
}
