//! The notes that layers make about a request, for its audit event.

use std::{
    borrow::Cow,
    fmt,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Extensions, Request};

use crate::{caller::Principal, digest::Digest, request::Head, scope::Scopes};

/// The notes about one request, in its extensions.
///
/// `AuditLayer` inserts the trail and takes the notes when the request has ended; later notes are lost.
#[derive(Clone, Debug)]
pub(crate) struct Trail(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    notes: Mutex<Notes>,
    request_id: RequestId,
}

/// The id of a request: that of a trusted header field, or a generated one of 32 hexadecimal digits.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RequestId(pub(crate) Id);

/// The id of an event.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EventId(u128);

impl EventId {
    /// A new id: a random number of the process, and a count. It is unique, and not a secret.
    pub(crate) fn new() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self(u128::from(*PROCESS) << 64 | u128::from(COUNT.fetch_add(1, Ordering::Relaxed)))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Id {
    Generated(EventId),
    /// Visible ASCII.
    Received(http::HeaderValue),
}

/// The notes of the layers.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) certificate: Option<AuditedCertificate>,
    pub(crate) client_address: Option<IpAddr>,
    pub(crate) fields: Vec<(Cow<'static, str>, Box<str>)>,
    /// A layer has decided who the caller is, or that it may be anybody.
    pub(crate) is_decided: bool,
    pub(crate) limit: Option<AuditedLimit>,
    pub(crate) observations: Vec<Observation>,
    pub(crate) policy: Option<AuditedPolicy>,
    pub(crate) principal: Option<Principal>,
    pub(crate) required: Option<Arc<Scopes>>,
    pub(crate) route: Option<Route>,
}

/// The template of the route, such as `/accounts/{id}`.
#[cfg(feature = "axum")]
pub(crate) type Route = axum::extract::MatchedPath;
#[cfg(not(feature = "axum"))]
pub(crate) type Route = std::convert::Infallible;

/// The client certificate of a request, in its audit event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditedCertificate {
    /// The distinguished name of the subject, if the certificate is known as a whole.
    pub subject: Option<Arc<str>>,
    /// The SHA-256 thumbprint.
    pub thumbprint: Digest,
}

/// The state of the rate limit that has the smallest number of units left, in an audit event.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AuditedLimit {
    /// The place where the request was counted.
    pub counted: Counted,
    /// The name of the limit, as given to the layer.
    pub limit: Arc<str>,
    /// The units that are left.
    pub remaining: u32,
    /// The time until the whole quota is available.
    pub reset: Duration,
}

/// The place where a request was counted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Counted {
    /// The limiter has counted it.
    Counted,
    /// Not at all: the store of the limiter did not answer, and the limiter admits requests then.
    NotCounted,
    /// This node alone has counted it: the store of the limiter did not answer.
    OnThisNode,
}

/// The policy that decided about a request, in its audit event.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AuditedPolicy {
    /// The name of the policy.
    pub name: Cow<'static, str>,
    /// The rule within it, if it has several.
    pub rule: Option<Cow<'static, str>>,
}

/// Something in a request that was ignored, and that an operator may want to know of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Observation {
    /// A credential in the query string.
    CredentialInQuery,
    /// A token whose header names keys of its own: `jku`, `jwk`, `x5u` or `x5c`.
    KeyInToken,
}

impl Observation {
    /// A stable word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CredentialInQuery => "credential_in_query",
            Self::KeyInToken => "key_in_token",
        }
    }
}

impl Trail {
    pub(crate) fn new(request_id: RequestId) -> Self {
        Self(Arc::new(Shared { notes: Mutex::default(), request_id }))
    }

    pub(crate) fn request_id(&self) -> &RequestId {
        &self.0.request_id
    }

    /// The notes, locked.
    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the trail.
    pub(crate) fn take(&self) -> Notes {
        std::mem::take(&mut self.notes())
    }
}

/// Makes a note about a request, if it is audited.
pub(crate) fn note(extensions: &Extensions, note: impl FnOnce(&mut Notes)) {
    if let Some(trail) = extensions.get::<Trail>() {
        note(&mut trail.notes());
    }
}

/// Notes where a request came from, and its route, as far as outer layers know it.
pub(crate) fn note_head<B>(request: &Request<B>) {
    note(request.extensions(), |notes| notes.see(&Head::from(request)));
}

impl Notes {
    pub(crate) fn see(&mut self, head: &Head<'_>) {
        self.client_address = head.client_address();
        #[cfg(feature = "axum")]
        if self.route.is_none() {
            self.route = head.extensions.get::<Route>().cloned();
        }
    }

    /// Notes the state of a limit; of several, that with the fewest units left.
    #[cfg(feature = "rate-limit")]
    pub(crate) fn limited(&mut self, limit: AuditedLimit) {
        if self.limit.as_ref().is_none_or(|noted| limit.remaining <= noted.remaining) {
            self.limit = Some(limit);
        }
    }
}
