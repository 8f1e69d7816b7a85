//! Scopes: single ones, sets, requirements as types, and hierarchies.
//!
//! # Examples
//!
//! ```
//! use tower_warden::scope::{All, Requirement, Scopes, scopes};
//!
//! scopes! {
//!     /// Permission to read balances and invoices.
//!     pub BillingRead = "billing:read";
//!     /// Permission to charge a card.
//!     pub BillingWrite = "billing:write";
//! }
//!
//! let held = Scopes::parse("billing:read users:read")?;
//! assert!(BillingRead::is_met(&|scope| held.contains(scope)));
//! assert!(!All::<(BillingRead, BillingWrite)>::is_met(&|scope| held.contains(scope)));
//! # Ok::<(), tower_warden::ConfigError>(())
//! ```
//!
//! A scope with a character that [RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3) forbids does not
//! compile:
//!
//! ```compile_fail
//! tower_warden::scope::scopes! { pub Quoted = "billing:\"read\""; }
//! ```

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

pub use self::{
    hierarchy::ScopeHierarchy,
    requirement::{All, Any, Requirement},
};
use crate::error::{ConfigError, ConfigErrorKind};
pub use crate::scopes;

mod conversions;
mod hierarchy;
mod requirement;

/// A scope token of [RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3): visible ASCII without
/// `"` and `\`.
///
/// # Examples
///
/// ```
/// use tower_warden::scope::Scope;
///
/// const BILLING_READ: Scope = Scope::from_static("billing:read");
///
/// assert_eq!("billing:read".parse::<Scope>()?, BILLING_READ);
/// assert!("billing read".parse::<Scope>().is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Scope(Cow<'static, str>);

impl Scope {
    /// Parses a scope token.
    ///
    /// # Errors
    ///
    /// If it is empty or has a character that the grammar forbids.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if is_token(text) {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(ConfigError::new(ConfigErrorKind::Scope, SYNTAX).value(text))
        }
    }

    /// Creates a scope from a literal.
    ///
    /// # Panics
    ///
    /// If it is empty or has a character that the grammar forbids; in a constant, as in [`scopes!`], that is an error of
    /// the compiler.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        assert!(is_token(text), "{}", SYNTAX);
        Self(Cow::Borrowed(text))
    }

    /// The text of the token.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of scopes, in alphabetical order.
///
/// # Examples
///
/// ```
/// use tower_warden::scope::{Scope, Scopes};
///
/// let scopes = Scopes::parse("write read read")?;
/// assert_eq!(scopes.to_string(), "read write");
/// assert_eq!(Scopes::try_from(["read", "write"])?, scopes);
/// assert_eq!(Scopes::from([Scope::from_static("read"), Scope::from_static("write")]), scopes);
/// assert!(scopes.contains(&Scope::from_static("read")));
/// assert!(!scopes.contains(&Scope::from_static("Read")));
/// assert!(Scopes::parse("re\"ad").is_err());
/// # Ok::<(), tower_warden::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Scopes(Box<[Scope]>);

impl Scopes {
    /// Parses scope tokens that are separated by spaces, as in the `scope` of
    /// [RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3); an empty text is an empty set.
    ///
    /// # Errors
    ///
    /// If a token has a character that the grammar forbids.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        text.split(' ').filter(|token| !token.is_empty()).map(Scope::parse).collect()
    }

    /// Returns whether the scope is in the set.
    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// Returns whether all of `needed` are in the set; true if `needed` is empty.
    #[must_use]
    pub fn contains_all(&self, needed: &Self) -> bool {
        needed.iter().all(|scope| self.contains(scope))
    }

    /// Returns whether at least one of `needed` is in the set; false if `needed` is empty.
    #[must_use]
    pub fn contains_any(&self, needed: &Self) -> bool {
        needed.iter().any(|scope| self.contains(scope))
    }

    /// The scopes of both sets. Nothing is allocated if the second has none of its own.
    pub(crate) fn joined(outer: Option<Arc<Self>>, more: Arc<Self>) -> Arc<Self> {
        match outer {
            Some(outer) if outer.contains_all(&more) => outer,
            Some(outer) => Arc::new(outer.iter().chain(more.iter()).cloned().collect()),
            None => more,
        }
    }

    /// The scopes, in alphabetical order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Scope> {
        self.0.iter()
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of scopes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut scopes: Vec<_> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes.into())
    }
}

impl FromStr for Scopes {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}

/// The tokens separated by single spaces, as in the `scope` of
/// [RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3).
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

/// A list of strings.
#[cfg(feature = "serde")]
impl serde::Serialize for Scopes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Scope::as_str))
    }
}

/// A list of strings, each of which is one scope.
#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Scopes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tokens = Vec::<String>::deserialize(deserializer)?;
        tokens.iter().map(|token| Scope::parse(token)).collect::<Result<_, _>>().map_err(serde::de::Error::custom)
    }
}

const SYNTAX: &str = "a scope is visible ASCII without '\"' and '\\'";

/// RFC 6749 §3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`.
pub(crate) const fn is_token(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        if !matches!(bytes[index], 0x21 | 0x23..=0x5B | 0x5D..=0x7E) {
            return false;
        }
        index += 1;
    }
    !bytes.is_empty()
}
