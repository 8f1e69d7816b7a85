//! The errors of a fetch, with what was wrong at each URL.

use std::{error::Error, fmt};

use crate::{error::Unavailable, fetch::ForbiddenAddress, log::Causes};

/// The maximum number of characters of a value in metadata that is quoted.
const QUOTED: usize = 200;

/// A failed fetch.
#[derive(Debug)]
pub(super) enum FetchError {
    /// The metadata is available at none of its URLs; the error at each of them.
    Discovery(Vec<(String, PlaceError)>),
    /// The keys are not available.
    Keys(Unavailable),
}

/// An error at one of the URLs of metadata.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("the metadata names the issuer {found:?}, and {configured:?} is configured", found = quoted(found))]
    IssuerMismatch { configured: Box<str>, found: Box<str> },
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A mistake in the configuration that a fetch has found.
#[derive(Clone, Debug)]
pub(super) enum Misconfiguration {
    /// The client does not connect to the address of the server.
    Address,
    /// The `issuer` of the metadata is another one.
    Issuer(Box<str>),
}

impl FetchError {
    pub(super) fn is_issuer_mismatch(&self) -> bool {
        self.other_issuer().is_some()
    }

    /// The mistake in the configuration that causes the error, if there is one.
    pub(super) fn misconfiguration(&self) -> Option<Misconfiguration> {
        if let Some(found) = self.other_issuer() {
            return Some(Misconfiguration::Issuer(quoted(found).into()));
        }
        let is_forbidden = match self {
            Self::Discovery(places) => places.iter().any(|(_, error)| ForbiddenAddress::is_cause_of(error)),
            Self::Keys(error) => ForbiddenAddress::is_cause_of(error),
        };
        is_forbidden.then_some(Misconfiguration::Address)
    }

    fn other_issuer(&self) -> Option<&str> {
        let Self::Discovery(places) = self else { return None };
        places.iter().find_map(|(_, error)| match error {
            PlaceError::IssuerMismatch { found, .. } => Some(&**found),
            PlaceError::Unavailable(_) => None,
        })
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery(places) => {
                f.write_str("no metadata")?;
                places.iter().try_for_each(|(place, error)| write!(f, "; at {place}: {}", Causes(error)))
            }
            Self::Keys(error) => error.fmt(f),
        }
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Discovery(_) => None,
            Self::Keys(error) => error.source(),
        }
    }
}

impl From<Unavailable> for FetchError {
    fn from(error: Unavailable) -> Self {
        Self::Keys(error)
    }
}

pub(super) fn unusable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Unavailable {
    Unavailable::new("the key set of an issuer").because(cause)
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}
