//! The steps from a request to a caller.
//!
//! The order is fixed: syntax, number of credentials, authentication, expiry, possession, networks, revocation, replay.

use std::{
    iter,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderName, HeaderValue};

use super::{
    admitted::Admitted,
    attempt::{Attempt, Examined},
    source::CredentialSource,
};
use crate::{
    Eventual,
    answer::within_time_out,
    caller::{Admission, Anonymous, ChallengeTerms, Identity, NotRevoked, Principal, ProofsUsedOnce},
    error::Unavailable,
    gate::{Check, sealed::Sealed},
    outage::Outage,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::{Head, UnknownClient},
    revocation::RevocationList,
    scheme::{Located, Presented},
    time::{Clock, Moment},
};

/// The check of [`AuthLayer`](crate::layer::AuthLayer).
#[derive(Clone, Debug)]
pub struct Authentication {
    pub(super) caller: CredentialSource,
    pub(super) clock: Arc<dyn Clock>,
    /// A number that no layer with another clock or revocation list has.
    pub(super) configuration: u64,
    /// The receiver of notices of outages.
    #[cfg(feature = "audit")]
    pub(super) observer: Option<Arc<dyn crate::notice::Observer>>,
    pub(super) presence: Presence,
    pub(super) reporting: Reporting,
    pub(super) revocations: Option<Arc<dyn RevocationList>>,
    /// The state of the revocation list.
    pub(super) outage: Outage,
    pub(super) subject: Option<CredentialSource>,
}

/// The requirement that a request has a credential, or the lack of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Presence {
    Optional,
    Required,
}

/// The responses that have the principal in their extensions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reporting {
    EveryResponse,
    Refusals,
}

/// The owner of a credential.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Caller,
    Subject,
}

/// A credential that passed every check but the last: its proofs are not marked as used.
pub(super) struct Checked {
    pub(super) attempt: Attempt,
    pub(super) examined: Examined,
    pub(super) identity: Arc<Identity>,
    not_revoked: NotRevoked,
    role: Role,
}

/// A credential that passed every check.
pub(super) struct Verified {
    pub(super) principal: Principal,
    pub(super) response_fields: Vec<(HeaderName, HeaderValue)>,
}

impl Sealed for Authentication {}

impl Check for Authentication {
    type Pass = Admitted;

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<Admitted, Rejection>> {
        let verified = match self.located(head) {
            Ok((Some(caller), None)) => match self.verify(Role::Caller, &caller, &[], head, self.clock.moment()) {
                Eventual::Now(checked) => self.finish(checked),
                Eventual::Later(checked) => {
                    let this = Arc::clone(self);
                    Eventual::later(async move { this.finish(checked.await).wait().await })
                }
            },
            Ok((Some(caller), Some(subject))) => self.verify_both(&caller, &subject, head),
            Ok((None, _)) => return Eventual::Now(Ok(self.anonymous())),
            Err((role, rejection)) => return Eventual::Now(Err(self.challenged(role, rejection, Presented::Any))),
        };
        let reporting = self.reporting;
        verified.map(move |verified| {
            let Verified { principal, response_fields } = verified?;
            // Here, and not by the gate: a panic of an observer is one of the check.
            principal.report_admission();
            Ok(Admitted::principal(principal, response_fields, reporting))
        })
    }
}

impl Authentication {
    /// The number of a configuration that is not that of any other layer.
    pub(super) fn new_configuration() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// Warns if no credential can be bound as a source requires.
    pub(super) fn warn_of_settings(&self) {
        iter::once(&self.caller).chain(&self.subject).for_each(CredentialSource::warn_of_settings);
    }

    /// Reports outages of all that the layer depends on to the observer.
    #[cfg(feature = "audit")]
    pub(super) fn observe(&self) {
        let Some(observer) = &self.observer else { return };
        self.outage.observed_by(observer);
        iter::once(&self.caller).chain(&self.subject).for_each(|source| source.observed_by(observer));
    }

    /// The credentials of a request: that of the caller, and that of the subject if one is required.
    ///
    /// Neither is present only if the layer is optional. An error is that of a role.
    fn located<'a>(&'a self, head: &Head<'a>) -> Result<(Option<Located<'a>>, Option<Located<'a>>), (Role, Rejection)> {
        let caller = self.caller.locate(head).map_err(|rejection| (Role::Caller, rejection))?;
        let Some(source) = &self.subject else {
            return match (caller, self.presence) {
                (None, Presence::Required) => Err((Role::Caller, CredentialSource::missing(head))),
                (caller, _) => Ok((caller, None)),
            };
        };
        let subject = source.locate(head).map_err(|rejection| (Role::Subject, rejection))?;
        match (caller, subject, self.presence) {
            (None, None, Presence::Optional) => Ok((None, None)),
            (None, ..) => Err((Role::Caller, CredentialSource::missing(head))),
            (Some(_), None, _) => {
                let reason = Reason::SUBJECT_CREDENTIAL_MISSING;
                Err((Role::Subject, Rejection::new(RejectionKind::Missing, reason)))
            }
            // Schemes may have been added after `AuthLayer::acting_for`: one credential never has both roles.
            (Some(caller), Some(subject), _) if self.caller.is_located_with(&caller, source, &subject) => {
                Err((Role::Caller, Rejection::new(RejectionKind::Malformed, Reason::SEVERAL_CREDENTIALS)))
            }
            (caller, subject, _) => Ok((caller, subject)),
        }
    }

    fn anonymous(&self) -> Admitted {
        let challenges = Arc::clone(&self.caller.terms().challenges);
        Admitted::anonymous(Anonymous(ChallengeTerms { challenges, presented: Presented::Any }))
    }

    /// Verifies one credential, beside another one in these fields, up to the last check.
    #[inline]
    pub(super) fn verify(
        self: &Arc<Self>,
        role: Role,
        located: &Located<'_>,
        other_fields: &[HeaderName],
        head: &Head<'_>,
        moment: Moment,
    ) -> Eventual<Result<Checked, Rejection>> {
        let (attempt, verdict) = self.source(role).begin(located, other_fields, head, moment);
        match verdict {
            Eventual::Now(verdict) => self.settle(role, attempt, verdict, || head.client()),
            Eventual::Later(verdict) => {
                let (this, client) = (Arc::clone(self), head.client());
                // What the authenticator queries.
                Eventual::later(async move { this.settle(role, attempt, verdict.await, || client).wait().await })
            }
        }
    }

    #[inline]
    pub(super) fn settle(
        self: &Arc<Self>,
        role: Role,
        attempt: Attempt,
        verdict: Result<Arc<Identity>, Rejection>,
        client: impl FnOnce() -> Result<IpAddr, UnknownClient>,
    ) -> Eventual<Result<Checked, Rejection>> {
        let examined = verdict.and_then(|identity| {
            let examined = self.source(role).examine(&attempt, &identity, client);
            let examined = examined.map_err(|rejection| naming(rejection, &identity))?;
            Ok((identity, examined))
        });
        let (identity, examined) = match examined {
            Ok(examined) => examined,
            Err(rejection) => return self.refuse(role, &attempt, rejection),
        };
        match self.revocations.as_ref().map(|list| list.is_revoked(&identity)) {
            None => Eventual::Now(self.check_revocation(role, attempt, identity, examined, None)),
            Some(Eventual::Now(answer)) => {
                Eventual::Now(self.check_revocation(role, attempt, identity, examined, Some(answer)))
            }
            Some(Eventual::Later(answer)) => {
                let this = Arc::clone(self);
                // The revocation list.
                Eventual::later(async move {
                    let answer = within_time_out("the revocation list", answer).await;
                    this.check_revocation(role, attempt, identity, examined, Some(answer))
                })
            }
        }
    }

    #[inline]
    fn check_revocation(
        &self,
        role: Role,
        attempt: Attempt,
        identity: Arc<Identity>,
        examined: Examined,
        answer: Option<Result<bool, Unavailable>>,
    ) -> Result<Checked, Rejection> {
        match NotRevoked::check(answer, &self.outage) {
            Ok(not_revoked) => Ok(Checked { attempt, examined, identity, not_revoked, role }),
            Err(rejection) => {
                let rejection = naming(rejection, &identity);
                Err(self.challenged(role, rejection, Presented::Scheme(attempt.place.scheme)))
            }
        }
    }

    /// The last check: whether a proof was used before.
    #[inline]
    pub(super) fn finish(
        self: &Arc<Self>,
        checked: Result<Checked, Rejection>,
    ) -> Eventual<Result<Verified, Rejection>> {
        let checked = match checked {
            Ok(checked) => checked,
            Err(rejection) => return Eventual::Now(Err(rejection)),
        };
        let now = checked.attempt.now;
        let marked = self.source(checked.role).mark_used(checked.examined.proofs.as_slice(), now);
        let single_use = checked.identity.single_use.clone();
        let marked = match single_use {
            Some(single_use) => marked.and_then(move |marked| match marked {
                Ok(()) => single_use.mark_used(now),
                Err(rejection) => Eventual::Now(Err(rejection)),
            }),
            None => marked,
        };
        match marked {
            Eventual::Now(marked) => Eventual::Now(self.admit(checked, marked)),
            Eventual::Later(marked) => {
                let this = Arc::clone(self);
                // What records used proofs.
                Eventual::later(async move { this.admit(checked, marked.await) })
            }
        }
    }

    #[inline]
    fn admit(&self, checked: Checked, marked: Result<(), Rejection>) -> Result<Verified, Rejection> {
        let Checked { attempt, examined, identity, not_revoked, role } = checked;
        let presented = Presented::Scheme(attempt.place.scheme);
        let proofs_used_once = ProofsUsedOnce::check(marked)
            .map_err(|rejection| self.challenged(role, naming(rejection, &identity), presented))?;
        let Examined { not_expired, possessed, network_allowed, proofs } = examined;
        let admission = Admission { not_expired, possessed, network_allowed, not_revoked, proofs_used_once };
        let terms = Arc::clone(self.source(role).terms());
        let principal = Principal::admit(identity, admission, attempt.place, terms, attempt.now, self.configuration);
        let fields = proofs.as_slice().iter().flat_map(|(_, proof)| proof.response_fields.iter().cloned());
        Ok(Verified { principal, response_fields: fields.collect() })
    }

    pub(super) fn refuse<T>(
        &self,
        role: Role,
        attempt: &Attempt,
        rejection: Rejection,
    ) -> Eventual<Result<T, Rejection>> {
        Eventual::Now(Err(self.challenged(role, rejection, Presented::Scheme(attempt.place.scheme))))
    }

    /// The one exit of refusals: attaches the challenges of the source.
    fn challenged(&self, role: Role, rejection: Rejection, presented: Presented) -> Rejection {
        rejection.challenged(&self.source(role).terms().challenges, presented)
    }

    pub(super) fn source(&self, role: Role) -> &CredentialSource {
        match role {
            Role::Caller => &self.caller,
            // Without a subject, nothing has this role.
            Role::Subject => self.subject.as_ref().unwrap_or(&self.caller),
        }
    }
}

/// Lets the audit event of the request name the owner of a credential that is authentic and was refused.
#[cfg(feature = "audit")]
fn naming(rejection: Rejection, identity: &Arc<Identity>) -> Rejection {
    rejection.of_owner(identity)
}

#[cfg(not(feature = "audit"))]
fn naming(rejection: Rejection, _: &Arc<Identity>) -> Rejection {
    rejection
}
