use std::{fmt, sync::Arc};

use http::Request;

#[cfg(any(feature = "api-key", feature = "jwt"))]
use super::cached::CachedRoles;
use super::directory::{RoleDirectory, RoleQuery};
use crate::{
    Eventual,
    answer::within_time_out,
    caller::{self, Principal},
    error::Unavailable,
    gate::{Check, Pass, sealed::Sealed},
    log::{self, Causes},
    outage::Outage,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    request::Head,
    scope::Scopes,
};

/// The check of [`RoleLayer`](super::RoleLayer), which refuses a request only if the scopes of its caller cannot be
/// determined.
pub struct RoleCheck(pub(super) RoleSource);

pub(super) enum RoleSource {
    #[cfg(any(feature = "api-key", feature = "jwt"))]
    Cached(CachedRoles),
    Direct {
        directory: Arc<dyn RoleDirectory>,
        outage: Outage,
    },
}

pub(super) type Resolved = Eventual<Result<Arc<Scopes>, Rejection>>;

impl RoleSource {
    fn resolve(&self, query: &RoleQuery<'_>) -> Resolved {
        match self {
            #[cfg(any(feature = "api-key", feature = "jwt"))]
            Self::Cached(roles) => roles.resolve(query),
            Self::Direct { directory, outage } => {
                let outage = outage.clone();
                match directory.scopes(query) {
                    Eventual::Now(scopes) => Eventual::Now(settle(scopes, &outage)),
                    // The directory.
                    Eventual::Later(scopes) => Eventual::later(async move {
                        settle(within_time_out("the directory of roles", scopes).await, &outage)
                    }),
                }
            }
        }
    }
}

fn settle(scopes: Result<Scopes, Unavailable>, outage: &Outage) -> Result<Arc<Scopes>, Rejection> {
    match scopes {
        Ok(scopes) => {
            outage.end();
            Ok(Arc::new(scopes))
        }
        Err(error) => {
            outage.begin(Causes(&error), || {
                log::warning!(
                    error = %Causes(&error),
                    "the directory of roles does not respond; requests are refused with 503 until it does"
                );
            });
            Err(Rejection::new(RejectionKind::Unavailable, Reason::ROLES_UNAVAILABLE))
        }
    }
}

pub(super) const DEPENDENCY: &str = "role directory";

impl RoleCheck {
    pub(super) fn resolve(&self, query: &RoleQuery<'_>) -> Resolved {
        self.0.resolve(query)
    }
}

impl Sealed for RoleCheck {}

impl Check for RoleCheck {
    type Pass = Granted;

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<Granted, Rejection>> {
        let principal = match caller::of(head.extensions) {
            Ok(principal) => principal,
            // `AuthLayer` has admitted the request without a credential.
            Err(missing) if missing.kind() == RejectionKind::Missing => return Eventual::Now(Ok(Granted::default())),
            Err(rejection) => return Eventual::Now(Err(rejection)),
        };
        let own = self.resolve(&RoleQuery::from(principal));
        let subject = principal.acting_for().map(|subject| self.resolve(&RoleQuery::from(subject)));
        let granted = Granted {
            #[cfg(all(feature = "api-key", feature = "axum"))]
            check: Some(Arc::clone(self)),
            ..Granted::default()
        };
        let granted = match (own, subject) {
            (own, None) => own.map(|own| Ok(granted.with(own?, None))),
            (own, Some(subject)) => own.and_then(move |own| match own {
                Ok(own) => subject.map(move |subject| Ok(granted.with(own, Some(subject?)))),
                Err(rejection) => Eventual::Now(Err(rejection)),
            }),
        };
        match granted {
            Eventual::Now(granted) => Eventual::Now(granted.map_err(|refused| refused.of_caller(principal))),
            Eventual::Later(granted) => {
                let principal = principal.clone();
                // The directory.
                Eventual::later(async move { granted.await.map_err(|refused| refused.of_caller(&principal)) })
            }
        }
    }
}

impl fmt::Debug for RoleCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleCheck").finish_non_exhaustive()
    }
}

/// The scopes that a caller, and the subject that it acts for, have by their roles.
#[derive(Debug, Default)]
pub struct Granted {
    /// The check itself, for handlers that issue credentials.
    #[cfg(all(feature = "api-key", feature = "axum"))]
    check: Option<Arc<RoleCheck>>,
    own: Option<Arc<Scopes>>,
    subject: Option<Arc<Scopes>>,
}

impl Granted {
    fn with(mut self, own: Arc<Scopes>, subject: Option<Arc<Scopes>>) -> Self {
        (self.own, self.subject) = (Some(own), subject);
        self
    }
}

impl Sealed for Granted {}

impl Pass for Granted {
    fn admit<B>(&mut self, request: &mut Request<B>) {
        #[cfg(all(feature = "api-key", feature = "axum"))]
        if let Some(check) = self.check.take() {
            super::passed::PassedRoles::note(request.extensions_mut(), check);
        }
        let Some(principal) = request.extensions_mut().get_mut::<Principal>() else { return };
        if let Some(scopes) = self.own.take() {
            principal.grant(&scopes);
        }
        if let Some(scopes) = self.subject.take() {
            principal.grant_subject(&scopes);
        }
        #[cfg(feature = "audit")]
        let principal = principal.clone();
        #[cfg(feature = "audit")]
        crate::trail::note(request.extensions(), |notes| notes.principal = Some(principal));
    }
}
