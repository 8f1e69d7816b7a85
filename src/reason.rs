//! Reasons of refusals, for logs and audit.

use std::fmt;

/// The reason of a refusal: a stable text such as `key_revoked`, for logs and audit.
///
/// Clients never see it. It is in the response's extensions, as [`Rejection::reason`](crate::Rejection::reason), and in the
/// log line of the refusal. Each constant says what the reason means and what to check first; the
/// [manual](crate::manual::refusals) lists them all.
///
/// # Examples
///
/// ```
/// use tower_warden::{Reason, Rejection, RejectionKind};
///
/// const ACCOUNT_SUSPENDED: Reason = Reason::custom("account_suspended");
///
/// let rejection = Rejection::new(RejectionKind::Forbidden, ACCOUNT_SUSPENDED);
/// assert_eq!(rejection.reason(), "account_suspended");
/// assert_ne!(rejection.reason(), Reason::KEY_REVOKED);
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Reason(&'static str);

impl Reason {
    /// A reason of a custom authenticator, proof or policy.
    ///
    /// # Panics
    ///
    /// If the text is not 1 to 64 lower-case ASCII letters, digits and `_`. In a `const` that is an error of the compiler.
    #[must_use]
    pub const fn custom(text: &'static str) -> Self {
        assert!(is_reason(text), "a reason is 1 to 64 lower-case ASCII letters, digits and '_'");
        Self(text)
    }

    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl PartialEq<str> for Reason {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Reason {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

const fn is_reason(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        if !matches!(bytes[index], b'a'..=b'z' | b'0'..=b'9' | b'_') {
            return false;
        }
        index += 1;
    }
    matches!(bytes.len(), 1..=64)
}

/// Defines reasons of one folder as constants of [`Reason`].
///
/// Each has two paragraphs of documentation: what it means, and what to look at. A test compares them with the manual.
macro_rules! reasons {
    ($($(#[$documentation:meta])+ $name:ident = $text:literal;)+) => {
        impl $crate::reason::Reason {
            $($(#[$documentation])+ pub const $name: Self = Self::custom($text);)+
        }
    };
}

pub(crate) use reasons;
