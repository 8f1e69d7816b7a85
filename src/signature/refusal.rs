//! The refusals of this module.

use crate::{
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
};

/// Refuses a request for its signature. What is malformed gets 400, a mistake of the server 500, and an outage 503.
pub(super) fn refused(reason: Reason) -> Rejection {
    let kind = match reason {
        Reason::SIGNATURE_LABELS | Reason::SIGNATURE_SYNTAX | Reason::SIGNATURE_TOO_LONG => RejectionKind::Malformed,
        Reason::SIGNATURE_KEYS_UNAVAILABLE => return Rejection::new(RejectionKind::Unavailable, reason),
        Reason::SIGNATURE_CONTENT_UNCHECKED => {
            log::error!(
                "a BodyCheckLayer with a ContentDigestCheck is missing outside of a layer that verifies signatures"
            );
            return Rejection::new(RejectionKind::Internal, reason);
        }
        _ => RejectionKind::Invalid,
    };
    Rejection::new(kind, reason).with_code("invalid_signature", DETAIL)
}

/// Refuses a credential for the signature that is its proof.
pub(super) fn invalid_proof(reason: Reason) -> Rejection {
    let rejection = refused(reason);
    if rejection.kind() == RejectionKind::Invalid {
        return Rejection::new(RejectionKind::InvalidProof, reason).with_code("invalid_signature", DETAIL);
    }
    rejection
}

const DETAIL: &str = "The signature of the request is invalid, expired or was used before.";
