//! Responses to refused requests, and the last changes to other responses.

use std::panic::{AssertUnwindSafe, catch_unwind};

use http::{Response, header};

use super::{check::Pass, response_head::ResponseHead};
use crate::{
    Eventual, log,
    reason::Reason,
    refusal::{Rejection, RejectionKind, Respond},
};

/// Makes the response of a refusal.
pub(crate) fn refuse<B>(rejection: Rejection, respond: &impl Respond<B>) -> Response<B> {
    let response = respond.respond(&rejection);
    rejection.apply_to(response)
}

/// Lets the pass review the response of the inner service.
pub(super) fn review<P: Pass, B>(pass: &mut P, response: &Response<B>) -> Eventual<Result<(), Rejection>> {
    let verdict = catch_unwind(AssertUnwindSafe(|| pass.review(&ResponseHead::from(response))));
    verdict.unwrap_or_else(|_| Eventual::Now(Err(panicked())))
}

/// Finishes a response of the inner service, or replaces it by a refusal.
pub(super) fn finish<P: Pass, B>(
    verdict: Result<(), Rejection>,
    response: Response<B>,
    mut pass: P,
    respond: &impl Respond<B>,
) -> Response<B> {
    match verdict {
        Ok(()) => {
            let mut response = complete(response, respond);
            pass.decorate(response.headers_mut());
            response
        }
        Err(rejection) => {
            // The replaced refusal is kept as the cause: a revoked key behind a limit on failures is still reported as
            // revoked.
            let rejection = match response.extensions().get::<Rejection>() {
                Some(cause) => rejection.caused_by(cause.clone()),
                None => rejection,
            };
            refuse(rejection, respond)
        }
    }
}

/// Makes the body of a refusal that an extractor has left to the layers. All other responses are unchanged, and so is a
/// refusal that something between the extractor and this layer has changed.
pub(crate) fn complete<B>(response: Response<B>, respond: &impl Respond<B>) -> Response<B> {
    let is_unchanged = |rejection: &&Rejection| {
        rejection.is_provisional()
            && rejection.status() == response.status()
            && !response.headers().contains_key(header::CONTENT_ENCODING)
    };
    let Some(rejection) = response.extensions().get::<Rejection>().filter(is_unchanged) else {
        return response;
    };
    let (made, body) = respond.respond(rejection).into_parts();
    let (mut parts, _) = response.into_parts();
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
        parts.headers.remove(name);
    }
    // Fields that are present take precedence: those of the refusal, and those that layers in between have added.
    for name in made.headers.keys().filter(|name| !parts.headers.contains_key(*name)).cloned().collect::<Vec<_>>() {
        for value in made.headers.get_all(&name) {
            parts.headers.append(&name, value.clone());
        }
    }
    Response::from_parts(parts, body)
}

/// The refusal for a check that panicked. The response does not reveal it.
pub(crate) fn panicked() -> Rejection {
    log::error!("a check panicked; responding with 500");
    Rejection::new(RejectionKind::Internal, Reason::PANICKED)
}
