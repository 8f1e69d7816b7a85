//! The caller of a request, in its extensions.

use http::Extensions;

use super::{principal::Principal, terms::ChallengeTerms};
use crate::{
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind},
};

/// A request without a credential, under an optional layer.
#[derive(Clone, Debug)]
pub(crate) struct Anonymous(pub(crate) ChallengeTerms);

/// The caller that the layer outside has admitted.
///
/// 401 if it admitted a request without a credential. 500 if there is no such layer: a mistake of the server, which must
/// neither look like one of the client nor admit anybody.
pub(crate) fn of(extensions: &Extensions) -> Result<&Principal, Rejection> {
    if let Some(principal) = extensions.get::<Principal>() {
        return Ok(principal);
    }
    match extensions.get::<Anonymous>() {
        Some(Anonymous(ChallengeTerms { challenges, presented })) => {
            let rejection = Rejection::new(RejectionKind::Missing, Reason::CREDENTIAL_MISSING);
            Err(rejection.challenged(challenges, *presented))
        }
        None => {
            log::error!("AuthLayer is missing around this route; responding with 500");
            Err(Rejection::new(RejectionKind::Internal, Reason::AUTH_LAYER_MISSING))
        }
    }
}

impl Rejection {
    /// The one way in which a refusal of an authenticated request gets its challenges.
    pub(crate) fn of_caller(self, caller: &Principal) -> Self {
        let ChallengeTerms { challenges, presented } = caller.challenge();
        self.challenged(&challenges, presented)
    }
}
