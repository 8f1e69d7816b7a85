//! Conversions to scopes and sets of scopes.

use super::{Scope, Scopes};
use crate::error::ConfigError;

impl From<Scope> for Scopes {
    fn from(scope: Scope) -> Self {
        Self::from([scope])
    }
}

impl<const N: usize> From<[Scope; N]> for Scopes {
    fn from(scopes: [Scope; N]) -> Self {
        scopes.into_iter().collect()
    }
}

impl From<&[Scope]> for Scopes {
    fn from(scopes: &[Scope]) -> Self {
        scopes.iter().cloned().collect()
    }
}

impl From<Vec<Scope>> for Scopes {
    fn from(scopes: Vec<Scope>) -> Self {
        scopes.into_iter().collect()
    }
}

impl From<&Self> for Scopes {
    fn from(scopes: &Self) -> Self {
        scopes.clone()
    }
}

impl TryFrom<&str> for Scope {
    type Error = ConfigError;

    fn try_from(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Scope {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        Self::parse(&text)
    }
}

/// Scope tokens that are separated by spaces.
impl TryFrom<&str> for Scopes {
    type Error = ConfigError;

    fn try_from(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}

/// Scope tokens that are separated by spaces.
impl TryFrom<&String> for Scopes {
    type Error = ConfigError;

    fn try_from(text: &String) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}

/// Scope tokens that are separated by spaces.
impl TryFrom<String> for Scopes {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        Self::parse(&text)
    }
}

/// One scope in each text: a text with a space is an error.
impl<const N: usize> TryFrom<[&str; N]> for Scopes {
    type Error = ConfigError;

    fn try_from(texts: [&str; N]) -> Result<Self, ConfigError> {
        Self::try_from(texts.as_slice())
    }
}

/// One scope in each text: a text with a space is an error.
impl<const N: usize> TryFrom<[String; N]> for Scopes {
    type Error = ConfigError;

    fn try_from(texts: [String; N]) -> Result<Self, ConfigError> {
        Self::try_from(texts.as_slice())
    }
}

/// One scope in each text: a text with a space is an error.
impl TryFrom<&[&str]> for Scopes {
    type Error = ConfigError;

    fn try_from(texts: &[&str]) -> Result<Self, ConfigError> {
        texts.iter().map(|text| Scope::parse(text)).collect()
    }
}

/// One scope in each text: a text with a space is an error.
impl TryFrom<&[String]> for Scopes {
    type Error = ConfigError;

    fn try_from(texts: &[String]) -> Result<Self, ConfigError> {
        texts.iter().map(|text| Scope::parse(text)).collect()
    }
}

/// One scope in each text: a text with a space is an error.
impl TryFrom<Vec<&str>> for Scopes {
    type Error = ConfigError;

    fn try_from(texts: Vec<&str>) -> Result<Self, ConfigError> {
        Self::try_from(texts.as_slice())
    }
}

/// One scope in each text: a text with a space is an error.
impl TryFrom<Vec<String>> for Scopes {
    type Error = ConfigError;

    fn try_from(texts: Vec<String>) -> Result<Self, ConfigError> {
        Self::try_from(texts.as_slice())
    }
}
