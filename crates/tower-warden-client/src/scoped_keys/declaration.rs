use std::{ops::RangeInclusive, time::Duration};

use tower_warden::{UnixTime, scope::Scopes};

use crate::secret::{Secret, SecretError, SecretErrorKind};

/// The declaration of the API key of one service: where it is kept, what it is for, and when it is rotated.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_warden::{UnixTime, scope::Scopes};
/// use tower_warden_client::scoped_keys::KeyDeclaration;
///
/// let ninety_days = Duration::from_secs(90 * 24 * 3600);
/// let billing = KeyDeclaration::new("billing", "BILLING_API_KEY")
///     .scopes(Scopes::parse("billing:read billing:write")?)
///     .length(40..=40)
///     .rotation(UnixTime::from_secs(1_800_000_000), ninety_days);
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyDeclaration {
    pub(super) service: Box<str>,
    pub(super) variable: Box<str>,
    pub(super) scopes: Scopes,
    /// `None` if the secret is not a key, and may have any form.
    length: Option<RangeInclusive<usize>>,
    pub(super) rotation: Option<Rotation>,
}

/// The time from which a key is in use, and for how long it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    pub(super) created: UnixTime,
    pub(super) period: Duration,
}

impl KeyDeclaration {
    /// Declares the key of a service. `variable` is its name in the [`SecretSource`](crate::secret::SecretSource).
    #[must_use]
    pub fn new(service: impl Into<Box<str>>, variable: impl Into<Box<str>>) -> Self {
        Self {
            service: service.into(),
            variable: variable.into(),
            scopes: Scopes::default(),
            length: Some(16..=512),
            rotation: None,
        }
    }

    /// Sets the scopes for which the key was issued: none by default.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Sets the number of characters that the key has: 16 to 512 by default.
    #[must_use]
    pub fn length(mut self, characters: RangeInclusive<usize>) -> Self {
        self.length = Some(characters);
        self
    }

    /// Sets the time at which the key was created, and the period after which it has to be rotated. By default, no rotation
    /// is due.
    #[must_use]
    pub const fn rotation(mut self, created: UnixTime, period: Duration) -> Self {
        self.rotation = Some(Rotation { created, period });
        self
    }

    /// Declares a secret that is not a key, such as a private key in PEM.
    pub(crate) fn any_text(mut self) -> Self {
        self.length = None;
        self
    }

    /// Checks the form of a value. The error does not contain it.
    pub(super) fn check(&self, secret: &Secret) -> Result<(), SecretError> {
        let Some(length) = &self.length else { return Ok(()) };
        let text = secret.expose();
        let problem = if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            "a key consists of visible ASCII characters, without spaces"
        } else if !length.contains(&text.len()) {
            "the key does not have the declared length"
        } else {
            return Ok(());
        };
        Err(SecretError::new(SecretErrorKind::Format, self.variable.clone(), problem))
    }
}
