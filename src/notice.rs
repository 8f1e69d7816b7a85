//! Events that are not requests, such as a revoked key or a store that does not respond.

use std::{fmt, sync::Arc};

/// Something that happened, and is not the decision about a request.
///
/// It contains no secret: keys are named by their ids.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// A dependency stopped to respond, such as a store of keys. Requests that need it are refused, or admitted where the
    /// configuration says so. While a `key set` cannot be refreshed, its last keys are used until they expire.
    DependencyDown {
        /// The name of the dependency.
        dependency: Arc<str>,
        /// The issuer, if it is a dependency of one: its name, or the host of its key set. For the keys of an agent's signatures,
        /// the URL of its directory.
        issuer: Option<Arc<str>>,
        /// The error.
        cause: Arc<str>,
    },
    /// A dependency responds again, or nothing depends on it any more.
    DependencyUp {
        /// The name of the dependency.
        dependency: Arc<str>,
        /// The issuer, if it is a dependency of one.
        issuer: Option<Arc<str>>,
    },
    /// The key set of an issuer changed.
    IssuerKeysChanged {
        /// The name of the issuer, or the URL of its key set.
        issuer: Arc<str>,
        /// The number of keys that were not in the set before.
        added: usize,
        /// The number of keys that are no longer in the set.
        removed: usize,
    },
    /// An API key was changed, on this node, or may have been.
    Key {
        /// The change.
        action: KeyAction,
        /// The id of the key.
        id: Box<str>,
        /// The outcome of the change.
        outcome: ChangeOutcome,
        /// Its owner, if the change knows it.
        owner: Option<Box<str>>,
        /// Its tenant.
        tenant: Option<Box<str>>,
    },
    /// A revocation was added to the list, on this node, or may have been.
    Revoked {
        /// The kind of name that is revoked, such as `subject` or `token`.
        kind: &'static str,
        /// The outcome of the revocation.
        outcome: ChangeOutcome,
        /// The issuer of the credentials, if the revocation names one.
        issuer: Option<Box<str>>,
        /// The name that is revoked, such as a subject or the id of a token.
        name: Box<str>,
    },
}

/// The outcome of a change. A change that was certainly not made is no notice.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ChangeOutcome {
    /// It was made.
    Done,
    /// It may have been made or not: the store failed or did not answer in time, or the caller did not wait for it.
    Unknown,
}

impl ChangeOutcome {
    /// A stable word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }
}

/// A change of an API key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyAction {
    /// It was added with a secret that was made elsewhere.
    Imported,
    /// It was minted.
    Minted,
    /// Its record was deleted.
    Purged,
    /// It was revoked.
    Revoked,
    /// It was replaced by a successor.
    Rotated,
    /// Its rights or its description were changed.
    Updated,
}

impl KeyAction {
    /// A stable word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Minted => "minted",
            Self::Purged => "purged",
            Self::Revoked => "revoked",
            Self::Rotated => "rotated",
            Self::Updated => "updated",
        }
    }
}

impl Notice {
    /// A stable word for logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::DependencyDown { .. } => "dependency_down",
            Self::DependencyUp { .. } => "dependency_up",
            Self::IssuerKeysChanged { .. } => "issuer_keys_changed",
            Self::Key { .. } => "key",
            Self::Revoked { .. } => "revoked",
        }
    }
}

/// Gets notices. An [`AuditLog`](crate::audit::AuditLog) is one.
pub trait Observer: Send + Sync + 'static {
    /// Takes a notice; it must not block.
    fn observe(&self, notice: Notice);
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn observe(&self, notice: Notice) {
        (**self).observe(notice);
    }
}

impl fmt::Debug for dyn Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
