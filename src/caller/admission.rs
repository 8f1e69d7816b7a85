//! The checks before an identity becomes a principal, each with its proof value.
//!
//! Each check returns a value that nothing else can make. [`Principal::admit`](super::Principal::admit) consumes one of
//! each, so an authenticator, a cache or a new code path cannot skip a check.

use std::net::IpAddr;

use super::{
    confirmation::{Possession, SenderConstraint},
    identity::Identity,
};
use crate::{
    error::Unavailable,
    log::{self, Causes},
    outage::Outage,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::UnknownClient,
    time::UnixTime,
};

/// The credential has not expired.
pub(crate) struct NotExpired(());

/// The sender possesses what the credential is bound to.
pub(crate) struct Possessed(());

/// The credential may be used from the client's network.
pub(crate) struct NetworkAllowed(());

/// The credential is not revoked, or no list is configured.
pub(crate) struct NotRevoked(());

/// The proofs of the request were not used before.
pub(crate) struct ProofsUsedOnce(());

/// One of each, in the order in which they are made.
#[expect(dead_code, reason = "that each is there is all that counts")]
pub(crate) struct Admission {
    pub(crate) not_expired: NotExpired,
    pub(crate) possessed: Possessed,
    pub(crate) network_allowed: NetworkAllowed,
    pub(crate) not_revoked: NotRevoked,
    pub(crate) proofs_used_once: ProofsUsedOnce,
}

impl NotExpired {
    pub(crate) fn check(identity: &Identity, now: UnixTime) -> Result<Self, Reason> {
        let is_expired = identity.expires_at.is_some_and(|end| end + identity.skew <= now);
        if is_expired { Err(Reason::EXPIRED) } else { Ok(Self(())) }
    }
}

impl Possessed {
    pub(crate) fn check(
        identity: &Identity,
        proved: &[Possession],
        constraints: impl IntoIterator<Item = SenderConstraint>,
    ) -> Result<Self, Reason> {
        let confirmation = identity.confirmation.as_ref();
        if let Some(confirmation) = confirmation {
            // RFC 8705 §3, RFC 9449 §7.2: each possession that a credential is bound to is proved, or it is refused.
            confirmation.check(proved)?;
        }
        constraints.into_iter().try_for_each(|constraint| constraint.check(identity.method, confirmation))?;
        Ok(Self(()))
    }
}

impl NetworkAllowed {
    pub(crate) fn check(
        identity: &Identity,
        client: impl FnOnce() -> Result<IpAddr, UnknownClient>,
    ) -> Result<Self, Rejection> {
        if identity.networks.is_empty() {
            return Ok(Self(()));
        }
        let client = client().map_err(|cause| match cause {
            UnknownClient::NoPeer => {
                log::error!(
                    "the peer address, which a credential with networks needs, is not in the request's extensions"
                );
                Rejection::new(RejectionKind::Internal, Reason::PEER_UNKNOWN)
            }
            UnknownClient::NotForwarded => Rejection::new(RejectionKind::Invalid, Reason::PEER_UNKNOWN),
        })?;
        if identity.networks.iter().any(|network| network.contains(client)) {
            Ok(Self(()))
        } else {
            Err(Rejection::new(RejectionKind::Invalid, Reason::NETWORK_FORBIDDEN))
        }
    }
}

impl NotRevoked {
    /// The answer of a list; `None` if no list is configured.
    pub(crate) fn check(answer: Option<Result<bool, Unavailable>>, outage: &Outage) -> Result<Self, Rejection> {
        if let Some(Ok(_)) = &answer {
            outage.end();
        }
        match answer {
            None | Some(Ok(false)) => Ok(Self(())),
            Some(Ok(true)) => Err(Rejection::new(RejectionKind::Invalid, Reason::REVOKED)),
            Some(Err(error)) => {
                outage.begin(Causes(&error), || {
                    log::warning!(
                        error = %Causes(&error),
                        "the revocation list does not respond; requests are refused with 503 until it does"
                    );
                });
                Err(Rejection::new(RejectionKind::Unavailable, Reason::REVOCATIONS_UNAVAILABLE))
            }
        }
    }
}

impl ProofsUsedOnce {
    /// The outcome of marking each proof of the request as used.
    pub(crate) fn check(marked: Result<(), Rejection>) -> Result<Self, Rejection> {
        marked.map(|()| Self(()))
    }
}
