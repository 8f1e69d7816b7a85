use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::Request;

use super::{all_of::AllOf, policy::Policy};
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
pub struct AuthorizationCheck(AllOf);

impl AuthorizationCheck {
    pub(super) fn new(policy: impl Policy) -> Self {
        Self(AllOf::new([Arc::new(policy) as _]))
    }

    /// The policies of both.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self(AllOf::new(self.0.parts().chain(other.0.parts())))
    }

    /// Warns once, if a layer outside requires other scopes.
    fn warn_of_stacked_scopes(&self, principal: &Principal) {
        static WARNED: AtomicBool = AtomicBool::new(false);
        let is_stacked = |own: &Scopes| principal.required().is_some_and(|outer| !outer.contains_all(own));
        if self.0.required().is_some_and(|own| is_stacked(own)) && !WARNED.swap(true, Ordering::Relaxed) {
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
        match self.0.decide(principal, head) {
            Eventual::Now(Ok(())) => Eventual::Now(Ok(Authorized(self.0.required().cloned()))),
            // A refusal gets the challenges of the caller's layer.
            Eventual::Now(Err(refused)) => Eventual::Now(Err(refused.of_caller(principal))),
            Eventual::Later(verdict) => {
                let (this, principal) = (Arc::clone(self), principal.clone());
                // The policies' dependencies.
                Eventual::later(async move {
                    verdict.await.map_err(|refused| refused.of_caller(&principal))?;
                    Ok(Authorized(this.0.required().cloned()))
                })
            }
        }
    }
}

impl fmt::Debug for AuthorizationCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationCheck").field("scopes", &self.0.scopes()).finish_non_exhaustive()
    }
}

/// The scopes that [`AuthorizeLayer`](crate::layer::AuthorizeLayer) has required of an admitted request, which refusals further
/// inside name as well.
#[derive(Debug)]
pub struct Authorized(Option<Arc<Scopes>>);

impl Sealed for Authorized {}

impl Pass for Authorized {
    fn admit<B>(&mut self, request: &mut Request<B>) {
        let principal = request.extensions_mut().get_mut::<Principal>();
        let required = self.0.take().zip(principal).map(|(scopes, principal)| Arc::clone(principal.require(scopes)));
        #[cfg(feature = "audit")]
        crate::trail::note_admitted(request.extensions(), required);
        #[cfg(not(feature = "audit"))]
        let _ = required;
    }
}
