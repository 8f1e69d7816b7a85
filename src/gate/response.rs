//! Responses to refused requests, and the last changes to other responses.

use std::panic::{AssertUnwindSafe, catch_unwind};

use http::{Request, Response};

use super::{check::Pass, response_head::ResponseHead};
use crate::{
    Eventual,
    caller::Principal,
    log,
    reason::Reason,
    refusal::{Rejection, RejectionKind, Respond, Responder},
};

/// Lets the pass review the response of the inner service.
pub(super) fn review<P: Pass, B>(pass: &mut P, response: &Response<B>) -> Eventual<Result<(), Rejection>> {
    let verdict = catch_unwind(AssertUnwindSafe(|| pass.review(&ResponseHead::from(response))));
    verdict.unwrap_or_else(|_| Eventual::Now(Err(panicked())))
}

/// Finishes a response of the inner service, or replaces it by a refusal.
pub(super) fn finish<P: Pass, B>(
    verdict: Result<(), Rejection>,
    response: &mut Response<B>,
    pass: &mut P,
    respond: &Responder<impl Respond<B>>,
) {
    match verdict {
        Ok(()) => {
            respond.complete(response);
            pass.annotate(response.extensions_mut());
            pass.decorate(response.headers_mut());
        }
        Err(rejection) => {
            // The replaced refusal is kept as the cause: a revoked key behind a limit on failures is still reported as
            // revoked.
            let rejection = match response.extensions().get::<Rejection>() {
                Some(cause) => rejection.caused_by(cause.clone()),
                None => rejection,
            };
            let rejection = rejection.by(response.extensions().get::<Principal>());
            *response = respond.refuse(rejection);
            pass.annotate(response.extensions_mut());
        }
    }
}

/// Makes the response to a refused request, and discards the request.
pub(crate) fn refuse<B: 'static, ResBody>(
    rejection: Rejection,
    request: Request<B>,
    respond: &Responder<impl Respond<ResBody>>,
) -> Response<ResBody> {
    let rejection = rejection.by(request.extensions().get());
    #[cfg(feature = "audit")]
    crate::trail::note_refused(&crate::Head::from(&request), &rejection);
    discard(request);
    respond.refuse(rejection)
}

/// Discards a refused request, after the rest of an upload was read where the type of the body is known.
#[cfg(all(feature = "axum", feature = "drain"))]
pub(crate) use crate::drain::discard;

/// Discards a refused request.
#[cfg(not(all(feature = "axum", feature = "drain")))]
pub(crate) fn discard<B>(request: Request<B>) {
    drop(request);
}

/// The refusal for a check that panicked. The response does not reveal it.
pub(crate) fn panicked() -> Rejection {
    log::error!("a check panicked; responding with 500");
    Rejection::new(RejectionKind::Internal, Reason::PANICKED)
}
