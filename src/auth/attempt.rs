//! The checks of a credential that need nothing but the request and the identity.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicBool},
};

use http::HeaderName;

use super::{
    authenticator::Presented,
    few::Few,
    proof::{PresentedProof, ProofOfPossession, VerifiedProof},
    source::CredentialSource,
};
use crate::{
    Eventual,
    caller::{Confirmation, Identity, NetworkAllowed, NotExpired, Possessed, Possession},
    metrics::Stopwatch,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::{Head, UnknownClient},
    scheme::{self, LocateError, Located, Place},
    time::{Moment, UnixTime},
};

/// A credential whose verification was begun, with what the request presents as proof.
pub(super) struct Attempt {
    pub(super) now: UnixTime,
    pub(super) place: Place,
    /// The proofs, by the place of their verifiers.
    presented: Few<(usize, PresentedProof)>,
}

/// The proof values of the checks that need no I/O.
pub(super) struct Examined {
    pub(super) not_expired: NotExpired,
    pub(super) possessed: Possessed,
    pub(super) network_allowed: NetworkAllowed,
    /// The proofs, by the place of their verifiers.
    pub(super) proofs: Vec<(usize, VerifiedProof)>,
}

impl CredentialSource {
    /// Returns whether this source and another one located their credentials at the same place of a request.
    pub(super) fn is_located_with(&self, own: &Located<'_>, other: &Self, others: &Located<'_>) -> bool {
        self.schemes().location(own.place).overlaps(other.schemes().location(others.place))
    }

    /// The one credential of a request, or none.
    pub(super) fn locate<'a>(&'a self, head: &Head<'a>) -> Result<Option<Located<'a>>, Rejection> {
        self.schemes().locate(head).map_err(|error| match error {
            LocateError::Malformed(reason) => Rejection::new(RejectionKind::Malformed, reason),
            LocateError::Missing(reason) => Rejection::new(RejectionKind::Missing, reason),
        })
    }

    /// Refuses a request without a credential.
    pub(super) fn missing(head: &Head<'_>) -> Rejection {
        let in_query = scheme::is_in_query(head);
        let reason = if in_query { Reason::CREDENTIAL_IN_QUERY } else { Reason::CREDENTIAL_MISSING };
        Rejection::new(RejectionKind::Missing, reason)
    }

    /// Begins to verify a credential, beside another one in these fields. Everything that needs the head is read here.
    #[inline]
    pub(super) fn begin(
        &self,
        located: &Located<'_>,
        other_fields: &[HeaderName],
        head: &Head<'_>,
        moment: Moment,
    ) -> (Attempt, Eventual<Result<Arc<Identity>, Rejection>>) {
        let mut attempt = Attempt { now: moment.now, place: located.place, presented: Few::None };
        if !self.authenticator.accepts(&located.credential) {
            let refused = Rejection::new(RejectionKind::Invalid, Reason::CREDENTIAL_NOT_ACCEPTED);
            return (attempt, Eventual::Now(Err(refused)));
        }
        for (place, proof) in self.proofs.iter().enumerate() {
            match proof.read(head, &located.credential) {
                PresentedProof::Absent => {}
                presented => attempt.presented.push((place, presented)),
            }
        }
        let is_cached = AtomicBool::new(false);
        let presented = Presented::arrived(located.credential, other_fields, *head, moment, &is_cached);
        let verdict = self.authenticator.authenticate(&presented);
        if is_cached.into_inner() && matches!(verdict, Eventual::Now(Ok(_))) {
            return (attempt, verdict);
        }
        (attempt, measured(Stopwatch::since(moment.instant), located.credential.kind(), verdict))
    }

    /// Expiry, possession, then networks.
    #[inline]
    pub(super) fn examine(
        &self,
        attempt: &Attempt,
        identity: &Identity,
        client: impl FnOnce() -> Result<IpAddr, UnknownClient>,
    ) -> Result<Examined, Rejection> {
        let invalid = |reason| Rejection::new(RejectionKind::Invalid, reason);
        let not_expired = NotExpired::check(identity, attempt.now).map_err(invalid)?;
        let (proved, proofs) = self.verify(attempt, identity.confirmation.as_ref())?;
        let possessed = Possessed::check(identity, proved.as_slice(), self.constraints()).map_err(invalid)?;
        let network_allowed = NetworkAllowed::check(identity, client)?;
        Ok(Examined { not_expired, possessed, network_allowed, proofs })
    }

    /// Verifies the proofs of the methods that the credential is bound by.
    #[inline]
    fn verify(
        &self,
        attempt: &Attempt,
        confirmation: Option<&Confirmation>,
    ) -> Result<(Few<Possession>, Vec<(usize, VerifiedProof)>), Rejection> {
        let bound_to = |proof: &dyn ProofOfPossession| {
            confirmation.and_then(|confirmation| confirmation.thumbprint(&proof.method()))
        };
        let scheme = self.schemes().name(attempt.place);
        // RFC 9449 §7.1: a credential that is not bound to a key has no place under the scheme.
        if self.proofs.iter().any(|proof| proof.is_required_under(scheme) && bound_to(proof).is_none()) {
            return Err(Rejection::new(RejectionKind::Invalid, Reason::KEY_NOT_BOUND));
        }
        let (mut proved, mut proofs) = (Few::None, Vec::new());
        for (place, presented) in attempt.presented.as_slice() {
            let proof = &self.proofs[*place];
            let thumbprint = match (presented, bound_to(proof)) {
                (PresentedProof::Unverified(unverified), Some(bound)) => {
                    let verified = unverified.verify_bound(bound, attempt.now)?;
                    let thumbprint = verified.thumbprint;
                    proofs.push((*place, verified));
                    thumbprint
                }
                (PresentedProof::Absent, _) | (PresentedProof::Unverified(_), None) => continue,
                (PresentedProof::Verified(thumbprint), _) => *thumbprint,
            };
            proved.push(Possession { method: proof.method(), thumbprint });
        }
        Ok((proved, proofs))
    }

    /// Marks the proofs of a request as used, one after the other.
    #[inline]
    pub(super) fn mark_used(
        &self,
        proofs: &[(usize, VerifiedProof)],
        now: UnixTime,
    ) -> Eventual<Result<(), Rejection>> {
        let Some(((place, first), rest)) = proofs.split_first() else { return Eventual::Now(Ok(())) };
        let marked = self.proofs[*place].mark_used(first, now);
        if rest.is_empty() {
            return marked;
        }
        let rest: Vec<_> =
            rest.iter().map(|(place, proof)| (Arc::clone(&self.proofs[*place]), proof.clone())).collect();
        // What records used proofs.
        Eventual::later(async move {
            marked.wait().await?;
            for (verifier, proof) in rest {
                verifier.mark_used(&proof, now).wait().await?;
            }
            Ok(())
        })
    }
}

/// Measures the time until the verdict, which is not from a cache.
#[cfg(feature = "metrics")]
fn measured(
    stopwatch: Stopwatch,
    kind: scheme::CredentialKind,
    verdict: Eventual<Result<Arc<Identity>, Rejection>>,
) -> Eventual<Result<Arc<Identity>, Rejection>> {
    verdict.map(move |verdict| {
        let (method, outcome) = match &verdict {
            Ok(identity) => (identity.method.as_str(), "ok"),
            Err(rejection) if rejection.kind() == RejectionKind::Unavailable => (kind.as_str(), "unavailable"),
            Err(_) => (kind.as_str(), "refused"),
        };
        stopwatch.stop(method, outcome);
        verdict
    })
}

#[cfg(not(feature = "metrics"))]
fn measured<T>(_: Stopwatch, _: scheme::CredentialKind, verdict: T) -> T {
    verdict
}
