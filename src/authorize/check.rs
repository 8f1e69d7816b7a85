use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::Request;

use super::policy::Policy;
use crate::{
    Eventual,
    caller::{self, Principal},
    gate::{Check, Pass, sealed::Sealed},
    log,
    refusal::Rejection,
    request::Head,
    scope::Scopes,
};

/// The check of [`AuthorizeLayer`](crate::layer::AuthorizeLayer): one policy, or several of which all must admit a request.
#[derive(Clone)]
pub struct AuthorizationCheck {
    policies: Vec<Arc<dyn Policy>>,
    /// The scopes of all policies; in an `Arc`, so that an admitted request notes them without an allocation.
    scopes: Option<Arc<Scopes>>,
}

/// The place of the policy that refused, and the refusal.
type Refused = (usize, Rejection);

impl AuthorizationCheck {
    pub(super) fn new(policy: impl Policy) -> Self {
        Self::of(vec![Arc::new(policy)])
    }

    /// The policies of both.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self::of(self.policies.iter().chain(&other.policies).cloned().collect())
    }

    fn of(policies: Vec<Arc<dyn Policy>>) -> Self {
        let scopes: Scopes =
            policies.iter().filter_map(|policy| policy.scopes()).flat_map(Scopes::iter).cloned().collect();
        Self { scopes: (!scopes.is_empty()).then(|| Arc::new(scopes)), policies }
    }

    /// The first refusal. All policies read the head before the first of them is awaited.
    fn decide(&self, principal: &Principal, head: &Head<'_>) -> Eventual<Result<(), Refused>> {
        let mut policies = self.policies.iter().enumerate();
        while let Some((place, policy)) = policies.next() {
            match policy.decide(principal, head) {
                Eventual::Now(Ok(())) => {}
                Eventual::Now(Err(rejection)) => return Eventual::Now(Err((place, rejection))),
                Eventual::Later(verdict) => {
                    let rest: Vec<_> =
                        policies.map(|(place, policy)| (place, policy.decide(principal, head))).collect();
                    // The policies' dependencies.
                    return Eventual::later(async move {
                        verdict.await.map_err(|rejection| (place, rejection))?;
                        for (place, verdict) in rest {
                            verdict.wait().await.map_err(|rejection| (place, rejection))?;
                        }
                        Ok(())
                    });
                }
            }
        }
        Eventual::Now(Ok(()))
    }

    /// Completes a refusal: the challenges of the caller's layer, and the scopes of the other policies. Of those that the caller
    /// meets, the scopes by which it meets them.
    fn refuse(&self, (place, rejection): Refused, principal: &Principal) -> Rejection {
        let others = self.policies.iter().enumerate().filter(|(other, _)| *other != place);
        let scopes = others.flat_map(|(other, policy)| {
            let scopes = policy.scopes().into_iter().flat_map(Scopes::iter);
            scopes.filter(move |scope| other > place || principal.holds(scope))
        });
        rejection.also_needs(scopes).of_caller(principal)
    }

    /// Warns once, if a layer outside requires other scopes.
    fn warn_of_stacked_scopes(&self, principal: &Principal) {
        static WARNED: AtomicBool = AtomicBool::new(false);
        let is_stacked = |own: &Scopes| principal.required().is_some_and(|outer| !outer.contains_all(own));
        if self.scopes.as_deref().is_some_and(is_stacked) && !WARNED.swap(true, Ordering::Relaxed) {
            log::warning!(
                "layers that require scopes are stacked: a refusal by the outer one does not name the scopes of the inner one; \
                 combine them with AuthorizeLayer::and or All"
            );
        }
    }
}

impl Sealed for AuthorizationCheck {}

impl Check for AuthorizationCheck {
    type Pass = Authorized;

    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<Authorized, Rejection>> {
        let principal = match caller::of(head.extensions) {
            Ok(principal) => principal,
            Err(rejection) => return Eventual::Now(Err(rejection)),
        };
        self.warn_of_stacked_scopes(principal);
        match self.decide(principal, head) {
            Eventual::Now(Ok(())) => Eventual::Now(Ok(Authorized(self.scopes.clone()))),
            Eventual::Now(Err(refused)) => Eventual::Now(Err(self.refuse(refused, principal))),
            Eventual::Later(verdict) => {
                let (this, principal) = (Arc::clone(self), principal.clone());
                // The policies' dependencies.
                Eventual::later(async move {
                    verdict.await.map_err(|refused| this.refuse(refused, &principal))?;
                    Ok(Authorized(this.scopes.clone()))
                })
            }
        }
    }
}

impl fmt::Debug for AuthorizationCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationCheck").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// The scopes that [`AuthorizeLayer`](crate::layer::AuthorizeLayer) has required of an admitted request, which refusals further
/// inside name as well.
#[derive(Debug)]
pub struct Authorized(Option<Arc<Scopes>>);

impl Sealed for Authorized {}

impl Pass for Authorized {
    fn admit<B>(&mut self, request: &mut Request<B>) {
        if let (Some(scopes), Some(principal)) = (self.0.take(), request.extensions_mut().get_mut::<Principal>()) {
            principal.require(scopes);
            #[cfg(feature = "audit")]
            let required = principal.required_scopes();
            #[cfg(feature = "audit")]
            crate::trail::note(request.extensions(), |notes| notes.required = required);
        }
    }
}
