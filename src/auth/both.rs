//! Two credentials: that of a caller, and that of the subject it acts for.

use std::sync::Arc;

use super::{
    authentication::{Authentication, Checked, Role, Verified},
    proof::VerifiedProof,
};
use crate::{
    Eventual,
    caller::RecordedProof,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
    scheme::Located,
    time::Moment,
};

impl Authentication {
    /// Verifies the credential of the caller, then that of the subject; both are read from the request first, and their
    /// proofs are marked as used after all other checks of both.
    pub(super) fn verify_both(
        self: &Arc<Self>,
        caller: &Located<'_>,
        subject: &Located<'_>,
        head: &Head<'_>,
    ) -> Eventual<Result<Verified, Rejection>> {
        let moment = self.clock.moment();
        let client = head.client();
        let fields = caller.credential.fields();
        let caller = self.verify(Role::Caller, caller, subject.credential.fields(), head, moment);
        // The same times, and a measurement of its own.
        let moment = Moment::new(moment.now, moment.steady);
        let (attempt, verdict) = self.source(Role::Subject).begin(subject, fields, head, moment);
        let this = Arc::clone(self);
        caller.and_then(move |caller| {
            let caller = match caller {
                Ok(caller) => caller,
                Err(rejection) => return Eventual::Now(Err(rejection)),
            };
            let subject = verdict.and_then({
                let this = Arc::clone(&this);
                move |verdict| this.settle(Role::Subject, attempt, verdict, || client)
            });
            subject.and_then(move |subject| match subject {
                Ok(subject) => this.finish_both(caller, subject),
                Err(rejection) => Eventual::Now(Err(rejection)),
            })
        })
    }

    /// Makes one principal of a caller and the subject it acts for. They must be of one tenant, if both have one.
    fn finish_both(
        self: &Arc<Self>,
        mut caller: Checked,
        mut subject: Checked,
    ) -> Eventual<Result<Verified, Rejection>> {
        if let (Some(one), Some(other)) = (&caller.identity.tenant, &subject.identity.tenant)
            && one != other
        {
            let rejection = Rejection::new(RejectionKind::Invalid, Reason::TENANT_MISMATCH);
            return self.refuse(Role::Caller, &caller.attempt, rejection);
        }
        subject.leave_out_proofs_of(&caller);
        caller.leave_out_proofs_of(&subject);
        let (this, caller) = (Arc::clone(self), self.finish(Ok(caller)));
        caller.and_then(move |caller| match caller {
            Ok(caller) => this.finish(Ok(subject)).map(move |subject| {
                let subject = subject?;
                let response_fields = [caller.response_fields, subject.response_fields].concat();
                Ok(Verified { principal: caller.principal.for_subject(subject.principal), response_fields })
            }),
            Err(rejection) => Eventual::Now(Err(rejection)),
        })
    }
}

impl Checked {
    /// Leaves out the proofs that are recorded with the other credential: one signature of a request may be that credential, or
    /// prove both, and would be refused as its own replay. A record in another guard, or one that ends earlier, would not
    /// protect this credential, whose proof is then recorded as well.
    fn leave_out_proofs_of(&mut self, other: &Self) {
        let is_recorded = |proof: &RecordedProof| {
            let single_use = other.identity.single_use.as_ref();
            single_use.is_some_and(|single_use| single_use.records(proof))
                || other.examined.proofs.iter().any(|(_, other)| other.recorded().any(|record| record.includes(proof)))
        };
        for (_, proof) in &mut self.examined.proofs {
            let left: Vec<_> = proof.recorded().filter(|proof| !is_recorded(proof)).collect();
            if proof.guard.is_some() {
                let mut left = left.into_iter().map(|record| (record.id, record.until));
                (proof.single_use, proof.also_used) = (left.next(), left.collect());
            }
        }
    }
}

impl VerifiedProof {
    /// The proofs that a guard records, which may be those of another credential as well.
    fn recorded(&self) -> impl Iterator<Item = RecordedProof> {
        let ids = self.guard.map(|guard| (guard, self.single_use.iter().chain(&self.also_used)));
        let key = self.thumbprint;
        ids.into_iter()
            .flat_map(move |(guard, ids)| ids.map(move |&(id, until)| RecordedProof { key, id, until, guard }))
    }
}
