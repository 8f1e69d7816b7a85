//! The caller of a request, in its extensions.

#[cfg(feature = "audit")]
use std::sync::Arc;

use http::Extensions;

#[cfg(feature = "audit")]
use super::identity::Identity;
use super::{confirmation::SenderConstraint, principal::Principal, terms::ChallengeTerms};
use crate::{
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
    scope::Scopes,
};

/// A request without a credential, under an optional layer.
#[derive(Clone, Debug)]
pub(crate) struct Anonymous(pub(crate) ChallengeTerms);

/// The owner of a refused credential, in the extensions of the refusal and of its response, for the audit event. It is not
/// a caller: nobody was admitted.
#[cfg(feature = "audit")]
#[derive(Clone)]
struct RefusedIdentity(Arc<Identity>);

/// The caller that the layer outside has admitted.
///
/// 401 if it admitted a request without a credential. 500 if there is no such layer: a mistake of the server, which must
/// neither look like one of the client nor admit anybody.
pub(crate) fn of(extensions: &Extensions) -> Result<&Principal, Rejection> {
    if let Some(principal) = extensions.get::<Principal>() {
        return Ok(principal);
    }
    if extensions.get::<Anonymous>().is_some() {
        let missing = Rejection::new(RejectionKind::Missing, Reason::CREDENTIAL_MISSING);
        return Err(missing.of_request(extensions));
    }
    log::error!(
        "AuthLayer is missing around this layer or route, or inside of it; the outermost layer of an axum router is the one \
         of its last `.layer` call; responding with 500"
    );
    Err(Rejection::new(RejectionKind::Internal, Reason::AUTH_LAYER_MISSING))
}

impl Rejection {
    /// Adds the challenges of the layer that admitted the caller, unless the policy has added some.
    ///
    /// If it names scopes, it also names those by which the caller has met the requirements of layers outside: the operation
    /// needs all of them.
    pub(crate) fn of_caller(self, caller: &Principal) -> Self {
        if self.has_challenges() {
            return self.by(Some(caller));
        }
        let outer = caller.required().into_iter().flat_map(Scopes::iter).filter(|scope| caller.holds(scope));
        behind_layer(self.also_needs(outer), &caller.challenge()).by(Some(caller))
    }

    /// Adds those of the challenges of the layer whose credentials can be bound in this way.
    pub(crate) fn of_caller_without(self, constraint: SenderConstraint, caller: &Principal) -> Self {
        behind_layer(self, &caller.challenge_of(constraint)).by(Some(caller))
    }

    /// Keeps the owner of the refused credential.
    #[cfg(feature = "audit")]
    pub(crate) fn of_owner(self, owner: &Arc<Identity>) -> Self {
        self.response_extension(RefusedIdentity(Arc::clone(owner)))
    }

    /// The owner of the refused credential, of this refusal or of one that it has replaced.
    #[cfg(feature = "audit")]
    pub(crate) fn refused_identity(&self) -> Option<&Identity> {
        self.extension::<RefusedIdentity>().map(|owner| &*owner.0)
    }

    /// Keeps the caller, who is known: the extensions of the response have it, for a log.
    pub(crate) fn by(self, caller: Option<&Principal>) -> Self {
        match caller {
            Some(caller) => self.response_extension(caller.clone()),
            None => self,
        }
    }

    /// Adds the challenges of the layer outside, if there is one: also where it admitted a request without a credential.
    pub(crate) fn of_request(self, extensions: &Extensions) -> Self {
        if let Some(caller) = extensions.get::<Principal>() {
            return self.of_caller(caller);
        }
        match extensions.get::<Anonymous>() {
            Some(Anonymous(terms)) => behind_layer(self, terms),
            None => self,
        }
    }
}

/// The one way in which a refusal behind an `AuthLayer` gets its challenges.
fn behind_layer(rejection: Rejection, terms: &ChallengeTerms) -> Rejection {
    rejection.challenged(&terms.challenges, terms.presented)
}
