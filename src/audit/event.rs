use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

use http::{Method, StatusCode};

use super::detect::Alert;
use crate::{
    caller::{Identity, Principal},
    notice::Notice,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scope::Scopes,
    time::Timestamp,
    trail::{
        AuditedCertificate, AuditedLimit, AuditedPolicy, EventId, Observation, Path, RequestId, Route, TraceContext,
    },
};

/// Something that happened, for an audit log.
///
/// It contains no secret, no token and no query string, and of the header fields only the
/// [id of the request](RequestEvent::request_id) and the [trace](RequestEvent::trace). The
/// [principal](RequestEvent::principal) of a request has the claims of its token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// The id of the event: 32 hexadecimal digits, and never one that a client has chosen. If the id of a request was
    /// generated, it is that of its event, too.
    pub id: EventId,
    /// The time at which it happened; that of a request is its arrival.
    pub time: Timestamp,
    /// The kind of the event.
    pub kind: EventKind,
}

impl Event {
    /// Creates an event with a new id.
    #[must_use]
    pub fn new(time: Timestamp, kind: EventKind) -> Self {
        Self { id: EventId::new(), time, kind }
    }
}

/// The kind of an event, with its details.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "almost all events are requests, and an allocation for each would be one too many"
)]
#[non_exhaustive]
pub enum EventKind {
    /// Something that looks like abuse was detected, or is over.
    Alert(Alert),
    /// Events that were lost before this one, because a sink was full.
    Lost(u64),
    /// Something other than a request, such as a revoked key.
    Notice(Notice),
    /// A request has ended.
    Request(RequestEvent),
}

/// The end of a request, and what was decided about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestEvent {
    /// The client certificate of the connection.
    pub certificate: Option<AuditedCertificate>,
    /// The address of the client, if it is known; behind a proxy, that of the client of the proxy.
    pub client_address: Option<IpAddr>,
    /// The decision.
    pub decision: Decision,
    /// The time from the arrival to the end of the response's body, or to its head if it has no body.
    pub duration: Duration,
    /// The end of the request.
    pub end: End,
    /// The reason of [`End::CredentialEnded`]: that of the refusals of requests with the credential.
    pub end_reason: Option<Reason>,
    /// The notes of handlers with [`AuditNote`](super::AuditNote), in the order of the notes.
    pub fields: Vec<(Cow<'static, str>, Box<str>)>,
    /// The time from the arrival to the head of the response; `None` without a response.
    pub latency: Option<Duration>,
    /// The state of the rate limit that has the smallest number of units left.
    pub limit: Option<AuditedLimit>,
    /// The method.
    pub method: Method,
    /// Things in the request that were ignored.
    pub observations: Vec<Observation>,
    /// The address of the peer, if it is known.
    pub peer: Option<IpAddr>,
    /// The policy that decided. `None` if it has admitted the request, and something else has refused it.
    pub policy: Option<AuditedPolicy>,
    /// The caller, if it was authenticated.
    pub principal: Option<Principal>,
    /// The id of the request.
    pub request_id: RequestId,
    /// The scopes that were required of an admitted request, by layers and by [`Scoped`](crate::axum::Scoped) handlers. Those
    /// of a refused one are in the [decision](Self::decision).
    pub required: Option<Arc<Scopes>>,
    /// The status of the response; `None` without a response.
    pub status: Option<StatusCode>,
    /// The trace that the request belongs to.
    pub trace: Option<TraceContext>,
    pub(super) route: Option<Route>,
    pub(super) path: Path,
}

/// The decision about a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Decision {
    /// The request was admitted: its caller is known, or a layer has admitted it without a credential.
    Admitted,
    /// The request was refused, by a layer or a handler.
    Refused(Rejection),
    /// No layer has decided about the caller of the request, and it was not refused.
    Undecided,
}

/// The end of a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum End {
    /// The response was sent to its end, or as far as the client had asked for it.
    Complete,
    /// A [`StreamGuardLayer`](crate::layer::StreamGuardLayer) ended the response, because the credential of the request has expired
    /// or was revoked.
    CredentialEnded,
    /// The client left before the head of the response.
    Disconnected,
    /// The inner service or the body of its response failed.
    Failed,
    /// The client left within the body of the response, or the body was dropped for another reason.
    Interrupted,
    /// The inner service or the body of its response panicked.
    Panicked,
}

impl End {
    /// A stable word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::CredentialEnded => "credential_ended",
            Self::Disconnected => "disconnected",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Panicked => "panicked",
        }
    }
}

impl Decision {
    /// The refusal, if there is one.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Rejection> {
        match self {
            Self::Refused(rejection) => Some(rejection),
            Self::Admitted | Self::Undecided => None,
        }
    }

    /// The reason of the refusal.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.refusal().map(Rejection::reason)
    }

    /// A stable word for logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused(_) => "refused",
            Self::Undecided => "undecided",
        }
    }
}

impl RequestEvent {
    /// The path of the request, without the query: the first 2000 characters.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    /// The template of the route, such as `/accounts/{id}`, if the router of axum has found one.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        #[cfg(feature = "axum")]
        return self.route.as_ref().map(axum::extract::MatchedPath::as_str);
        #[cfg(not(feature = "axum"))]
        return self.route.map(|never| match never {});
    }

    /// The first value that was noted under this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// All values that were noted under this name, such as the tools of a batch.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(noted, _)| noted == name).map(|(_, value)| &**value)
    }

    /// The owner of a refused credential. Whether it was the owner who sent it is not known.
    ///
    /// It is known if an authenticator has accepted the credential, and the layer has refused it: it has expired (an API key,
    /// or a token that is cached), it is bound to another certificate or key, its proof is missing, invalid or was used before,
    /// it is used from another network, it is in the revocation list, or that list does not respond.
    ///
    /// `None` if the authenticator has refused it: it is forged, malformed or unknown, an API key that was revoked, or a token
    /// that had expired when it was seen first.
    #[must_use]
    pub fn refused_identity(&self) -> Option<&Identity> {
        self.decision.refusal()?.refused_identity()
    }

    /// Returns whether the request was admitted.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        matches!(self.decision, Decision::Admitted)
    }

    /// Returns whether the credential of the request was refused, or missing: another credential might have been admitted.
    #[must_use]
    pub fn is_authentication_failure(&self) -> bool {
        let kind = self.decision.refusal().map(Rejection::kind);
        kind.is_some_and(|kind| {
            matches!(
                kind,
                RejectionKind::Invalid
                    | RejectionKind::InvalidProof
                    | RejectionKind::Malformed
                    | RejectionKind::Missing
                    | RejectionKind::NonceRequired
                    | RejectionKind::StepUp
            )
        })
    }

    /// The scopes that a refusal names, or else those that were required before.
    pub(super) fn scopes_required(&self) -> Option<&Scopes> {
        self.decision.refusal().and_then(Rejection::needed).or(self.required.as_deref())
    }

    /// The operation: the tool that the handler has noted, or the method and the route.
    pub(super) fn operation(&self) -> String {
        let route = || format!("{} {}", self.method, self.route().unwrap_or_else(|| self.path()));
        self.field("tool").map_or_else(route, str::to_owned)
    }

    /// Returns whether the event is that of an admitted request that came to its end without a failure of the server. Only
    /// such events may be left out of a sample.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        let is_failure = self.status.is_some_and(|status| status.is_server_error());
        self.is_admitted() && matches!(self.end, End::Complete | End::Interrupted | End::Disconnected) && !is_failure
    }
}
