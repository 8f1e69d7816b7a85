use std::{net::IpAddr, time::Duration};

use crate::time::Timestamp;

/// A pattern in the events that looks like abuse, with the counts that show it.
///
/// There is one event when it is raised, and one when it is cleared. Names are those of the event that raised it. It
/// contains no secret: keys and tokens are named by their ids.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Alert {
    /// The calls in a day that are normal for the caller, for [`Detection::UnusualRate`].
    pub baseline: Option<f64>,
    /// The count within the [window](Self::window); of a cleared alert, the highest count.
    pub count: u64,
    /// The pattern that was detected.
    pub detection: Detection,
    /// The id of the alert, the same when it is cleared.
    pub id: Box<str>,
    /// The issuer of the caller's credential.
    pub issuer: Option<Box<str>>,
    /// The id of the API key.
    pub key_id: Option<Box<str>>,
    /// Other names: the reason of the failures, networks, the scopes that were refused, the scope or tool that is new.
    pub names: Vec<Box<str>>,
    /// The address of the client, or of the peer.
    pub peer: Option<IpAddr>,
    /// The time at which it was raised.
    pub since: Timestamp,
    /// Raised or cleared.
    pub state: AlertState,
    /// The subject; `None` if the alert is about a peer.
    pub subject: Option<Box<str>>,
    /// The tenant of the subject.
    pub tenant: Option<Box<str>>,
    /// The count at which the alert is raised.
    pub threshold: u64,
    /// The id of the token.
    pub token_id: Option<Box<str>>,
    /// The length of the window of the count.
    pub window: Duration,
}

/// The state of an alert.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AlertState {
    /// The pattern has not been seen for some time.
    Cleared,
    /// It was detected.
    Raised,
}

impl AlertState {
    /// A stable word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cleared => "cleared",
            Self::Raised => "raised",
        }
    }
}

/// A pattern that a [`Detector`](super::Detector) detects.
///
/// A failure is a credential that was refused as malformed or invalid, not one that was missing. Failures are those of
/// a caller or key if the event [names the owner](crate::audit::RequestEvent::refused_identity) of the credential; others
/// are those of the peer alone. Failed requests are not usage of the caller: they are in no rate, and in no number of
/// networks.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Detection {
    /// Failures of one subject.
    FailuresOfCaller,
    /// Failures of one API key or token.
    FailuresOfKey,
    /// Failures from one address, or from one IPv6 network `/64`.
    FailuresOfPeer,
    /// The first request of a caller that needed this scope. A caller that has used 64 scopes has no new ones.
    FirstUseOfScope,
    /// The first request of a caller for this tool. A caller that has used 64 tools has no new ones.
    FirstUseOfTool,
    /// One API key or token in many networks: `/24` of IPv4, `/48` of IPv6.
    KeyInManyNetworks,
    /// Many API keys or tokens from one address, or from one IPv6 network `/64`.
    ManyKeysFromPeer,
    /// Requests that were refused because the caller lacks a scope.
    RefusedScopes,
    /// A rate of calls far above that of the caller so far.
    UnusualRate,
}

impl Detection {
    pub(in crate::audit) const ALL: [Self; 9] = [
        Self::FailuresOfCaller,
        Self::FailuresOfKey,
        Self::FailuresOfPeer,
        Self::FirstUseOfScope,
        Self::FirstUseOfTool,
        Self::KeyInManyNetworks,
        Self::ManyKeysFromPeer,
        Self::RefusedScopes,
        Self::UnusualRate,
    ];
    pub(super) const COUNT: usize = Self::ALL.len();

    /// A stable word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailuresOfCaller => "failures_of_caller",
            Self::FailuresOfKey => "failures_of_key",
            Self::FailuresOfPeer => "failures_of_peer",
            Self::FirstUseOfScope => "first_use_of_scope",
            Self::FirstUseOfTool => "first_use_of_tool",
            Self::KeyInManyNetworks => "key_in_many_networks",
            Self::ManyKeysFromPeer => "many_keys_from_peer",
            Self::RefusedScopes => "refused_scopes",
            Self::UnusualRate => "unusual_rate",
        }
    }

    /// A sentence for people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::FailuresOfCaller => "Failed authentications of one caller",
            Self::FailuresOfKey => "Failed authentications with one key",
            Self::FailuresOfPeer => "Failed authentications from one address",
            Self::FirstUseOfScope => "First use of a scope by a caller",
            Self::FirstUseOfTool => "First use of a tool by a caller",
            Self::KeyInManyNetworks => "One key in many networks",
            Self::ManyKeysFromPeer => "Many keys from one address",
            Self::RefusedScopes => "Refused scopes of one caller",
            Self::UnusualRate => "A rate of calls far above that of the caller so far",
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}
