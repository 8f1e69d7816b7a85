use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

use crate::{
    caller::Principal,
    digest::Digest,
    reason::Reason,
    refusal::Rejection,
    request::{ClientAddress, Head},
    scope::Scopes,
};

/// The notes of the layers.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) certificate: Option<AuditedCertificate>,
    pub(crate) client_address: Option<IpAddr>,
    /// The credential of the request has ended for this reason, and the response with it.
    pub(crate) credential_ended: Option<Reason>,
    pub(crate) fields: Vec<(Cow<'static, str>, Box<str>)>,
    /// A layer has decided who the caller is, or that it may be anybody.
    pub(crate) is_decided: bool,
    pub(crate) limit: Option<AuditedLimit>,
    pub(crate) observations: Vec<Observation>,
    pub(crate) policy: Option<AuditedPolicy>,
    /// The policy has admitted the request: a later refusal is not its decision.
    pub(crate) policy_admitted: bool,
    pub(crate) principal: Option<Principal>,
    /// The refusal by a layer, in case a middleware makes a response of its own from that of the layer.
    pub(crate) refusal: Option<Rejection>,
    /// The caller in the extensions of the response.
    pub(crate) reported: Option<Principal>,
    pub(crate) required: Option<Arc<Scopes>>,
    pub(crate) route: Option<Route>,
}

impl Notes {
    /// Notes where the request came from, and its route.
    pub(crate) fn see(&mut self, head: &Head<'_>) {
        self.client_address = head.client_address();
        #[cfg(feature = "axum")]
        self.see_route(head);
    }

    /// Notes the same, where the peer is known already.
    pub(crate) fn see_from(&mut self, peer: Option<IpAddr>, head: &Head<'_>) {
        self.client_address = head.extensions.get::<ClientAddress>().map_or(peer, ClientAddress::get);
        #[cfg(feature = "axum")]
        self.see_route(head);
    }

    #[cfg(feature = "axum")]
    fn see_route(&mut self, head: &Head<'_>) {
        if self.route.is_none() {
            self.route = head.extensions.get::<Route>().cloned();
        }
    }

    /// Notes that the token of the request names keys of its own.
    #[cfg(feature = "jwt")]
    pub(crate) fn observe_key(&mut self) {
        self.observations.push(Observation::KeyInToken);
    }
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

impl Counted {
    /// A stable word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "yes",
            Self::NotCounted => "no",
            Self::OnThisNode => "on_this_node",
        }
    }
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
