use std::{error::Error, fmt};

use crate::error::Unavailable;

/// A message that could not be signed.
#[derive(Debug)]
pub struct SigningError {
    message: &'static str,
    source: Option<Unavailable>,
}

impl SigningError {
    pub(super) const fn of(message: &'static str) -> Self {
        Self { message, source: None }
    }

    pub(super) fn because(mut self, error: Unavailable) -> Self {
        self.source = Some(error);
        self
    }
}

impl fmt::Display for SigningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl Error for SigningError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}
