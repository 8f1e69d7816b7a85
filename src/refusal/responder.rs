use http::{Response, header};

use super::{problem::Problem, rejection::Rejection, respond::Respond};

/// The [`Respond`] of a layer, and whether it was set or is the default.
///
/// A layer without a [`Respond`] that was set leaves the body to the layers outside: one that is set on the outermost layer
/// holds for all that is inside of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Responder<R> {
    respond: R,
    origin: Origin,
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    Default,
    Set,
}

impl Default for Responder<Problem> {
    fn default() -> Self {
        Self { respond: Problem, origin: Origin::Default }
    }
}

impl<R> Responder<R> {
    pub(crate) const fn set(respond: R) -> Self {
        Self { respond, origin: Origin::Set }
    }

    /// Makes the response of a refusal.
    pub(crate) fn refuse<B>(&self, rejection: Rejection) -> Response<B>
    where
        R: Respond<B>,
    {
        let (response, status) = (self.respond.respond(&rejection), self.respond.status(&rejection));
        let rejection = match self.origin {
            Origin::Default => rejection.provisional(),
            Origin::Set => rejection.finished(),
        };
        rejection.apply_with(status, response)
    }

    /// Makes the body of a refusal that something inside has left to the layers outside. All other responses are unchanged, and
    /// so is a refusal whose status something in between has changed, or whose body it has encoded.
    #[inline]
    pub(crate) fn complete<B>(&self, response: &mut Response<B>)
    where
        R: Respond<B>,
    {
        if let Origin::Set = self.origin {
            self.make_body(response);
        }
    }

    fn make_body<B>(&self, response: &mut Response<B>)
    where
        R: Respond<B>,
    {
        let is_unchanged = |rejection: &&Rejection| {
            rejection.is_provisional()
                && rejection.status() == response.status()
                && !response.headers().contains_key(header::CONTENT_ENCODING)
        };
        let Some(rejection) = response.extensions().get::<Rejection>().filter(is_unchanged) else { return };
        let (status, made) = (self.respond.status(rejection), self.respond.respond(rejection));
        let (made, body) = made.into_parts();
        (*response.status_mut(), *response.body_mut()) = (status, body);
        let headers = response.headers_mut();
        for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
            headers.remove(name);
        }
        // Fields that are present take precedence: those of the refusal, and those that layers in between have added.
        for name in made.headers.keys().filter(|name| !headers.contains_key(*name)).cloned().collect::<Vec<_>>() {
            for value in made.headers.get_all(&name) {
                headers.append(&name, value.clone());
            }
        }
    }
}
