//! Events that are not requests, such as a revoked key or a store that does not respond.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

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

/// Notices that are delivered in their order, by one thread at a time.
///
/// No lock is held while an observer takes one: it may cause another notice.
#[derive(Debug, Default)]
pub(crate) struct NoticeQueue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    notices: VecDeque<(Arc<dyn Observer>, Notice)>,
    is_delivering: bool,
}

impl NoticeQueue {
    /// Adds a notice, after those that were added before.
    pub(crate) fn enqueue(&self, observer: &Arc<dyn Observer>, notice: Notice) {
        self.waiting().notices.push_back((Arc::clone(observer), notice));
    }

    /// Delivers what waits, unless a thread does already: that one delivers it as well.
    pub(crate) fn deliver(&self) {
        while let Some((observer, notice, _delivering)) = self.next() {
            observer.observe(notice);
        }
    }

    fn next(&self) -> Option<(Arc<dyn Observer>, Notice, Delivering<'_>)> {
        let mut waiting = self.waiting();
        if waiting.is_delivering {
            return None;
        }
        let (observer, notice) = waiting.notices.pop_front()?;
        waiting.is_delivering = true;
        Some((observer, notice, Delivering(self)))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The delivery of one notice, which ends also if the observer panics.
struct Delivering<'a>(&'a NoticeQueue);

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        self.0.waiting().is_delivering = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An observer during whose first notice another thread adds a second one.
    #[derive(Clone, Default)]
    struct Slow {
        queue: Arc<NoticeQueue>,
        seen: Arc<Mutex<Vec<&'static str>>>,
    }

    impl Observer for Slow {
        fn observe(&self, notice: Notice) {
            if matches!(notice, Notice::DependencyDown { .. }) {
                self.enqueue(Notice::DependencyUp { dependency: "store".into(), issuer: None });
                std::thread::scope(|scope| scope.spawn(|| self.queue.deliver()).join()).expect("no panic");
            }
            self.seen.lock().expect("no panic").push(notice.as_str());
        }
    }

    impl Slow {
        fn enqueue(&self, notice: Notice) {
            let observer: Arc<dyn Observer> = Arc::new(self.clone());
            self.queue.enqueue(&observer, notice);
        }
    }

    #[test]
    fn a_notice_is_observed_after_the_one_before() {
        let slow = Slow::default();
        for _ in 0..2 {
            slow.enqueue(Notice::DependencyDown {
                dependency: "store".into(),
                issuer: None,
                cause: "timed out".into(),
            });
            slow.queue.deliver();
        }
        assert_eq!(*slow.seen.lock().expect("no panic"), ["dependency_down", "dependency_up"].repeat(2));
    }
}
