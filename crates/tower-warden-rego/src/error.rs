use std::{error::Error, fmt, path::Path};

/// A policy that cannot be loaded.
///
/// The message names the file, or the rule, and states what was expected.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RegoError {
    kind: RegoErrorKind,
    message: Box<str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kind of a [`RegoError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RegoErrorKind {
    /// A policy is not Rego, a data document is not a JSON object, or a setting is not accepted.
    Invalid,
    /// The policies do not define a rule that is to be evaluated.
    RuleMissing,
    /// A file cannot be read.
    Unreadable,
}

impl RegoError {
    pub(crate) fn new(kind: RegoErrorKind, message: impl Into<Box<str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn unreadable(path: &Path, error: std::io::Error) -> Self {
        Self::new(RegoErrorKind::Unreadable, format!("{}: the file cannot be read", path.display())).because(error)
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind of the error.
    #[must_use]
    pub const fn kind(&self) -> RegoErrorKind {
        self.kind
    }
}

/// Displays an error and its sources in one line, for logs.
pub(crate) struct ErrorChain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
