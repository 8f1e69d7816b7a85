use std::sync::Arc;

use http::{Extensions, HeaderMap, Request};

use super::response_head::ResponseHead;
use crate::{Eventual, refusal::Rejection, request::Head};

/// Decides whether a request is admitted. Sealed: only the layers of this crate implement it.
pub trait Check: sealed::Sealed + Send + Sync + 'static {
    /// Changes to an admitted request and to its response.
    type Pass: Pass;

    /// Admits or refuses a request.
    ///
    /// # Errors
    ///
    /// The refusal, which the gate turns into a response.
    fn check(self: &Arc<Self>, head: &Head<'_>) -> Eventual<Result<Self::Pass, Rejection>>;
}

/// Changes that a check makes to an admitted request and to its response. Sealed.
pub trait Pass: sealed::Sealed + Send + 'static {
    /// Changes the request before the inner service gets it.
    fn admit<B>(&mut self, request: &mut Request<B>) {
        let _ = request;
    }

    /// Reviews the response of the inner service, before it is passed on.
    ///
    /// # Errors
    ///
    /// A refusal that replaces it.
    fn review(&mut self, response: &ResponseHead<'_>) -> Eventual<Result<(), Rejection>> {
        let _ = response;
        Eventual::Now(Ok(()))
    }

    /// Adds values to the extensions of the response, also of a refusal that replaces that of the inner service.
    fn annotate(&mut self, extensions: &mut Extensions) {
        let _ = extensions;
    }

    /// Adds header fields to the response of the inner service.
    fn decorate(&mut self, headers: &mut HeaderMap) {
        let _ = headers;
    }
}

/// Changes nothing.
impl Pass for () {}

pub(crate) mod sealed {
    /// Prevents implementations outside of this crate.
    #[expect(unnameable_types, reason = "that is how it seals")]
    pub trait Sealed {}

    impl Sealed for () {}
}
