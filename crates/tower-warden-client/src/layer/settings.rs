use std::sync::Arc;

use http::{Request, Uri, header, uri::PathAndQuery};
use tower_warden::{Clock, scope::Scopes};

use super::{refused::LastRefused, step_up::StepUps};
use crate::{Origin, TokenError, TokenErrorKind, TokenRequest, TokenSource, origin::is_separate};

/// The settings of a layer, shared by its services.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) clock: Arc<dyn Clock>,
    /// The origin as the beginning of a URL, if URLs without a host are completed.
    pub(super) completion: Option<Uri>,
    pub(super) origin: Origin,
    pub(super) refused: Arc<LastRefused>,
    pub(super) source: Arc<dyn TokenSource>,
    pub(super) step_ups: Option<Arc<StepUps>>,
}

impl Settings {
    /// The request for a token, now, with these additional scopes.
    pub(super) fn request<'a>(&'a self, scopes: Option<&'a Scopes>) -> TokenRequest<'a> {
        let request = TokenRequest::by_clock(&*self.clock);
        match scopes {
            Some(scopes) => request.with_scopes(scopes),
            None => request,
        }
    }

    /// Returns whether a token was refused because of scopes that an API has asked for. They are asked for no more.
    pub(super) fn withdraw(&self, scopes: Option<&Scopes>, error: &TokenError) -> bool {
        let is_withdrawn = scopes.is_some() && error.kind() == TokenErrorKind::Refused;
        if let Some(step_ups) = self.step_ups.as_ref().filter(|_| is_withdrawn) {
            step_ups.forget();
        }
        is_withdrawn
    }

    /// Checks that a request is for the declared origin, and completes its URL if that is configured.
    ///
    /// A `Host` field is removed, because a client would send it in place of the host of the URL, and so the token to another
    /// host behind the same address.
    pub(super) fn check<B>(&self, request: &mut Request<B>) -> Result<(), TokenError> {
        request.headers_mut().remove(header::HOST);
        let uri = request.uri_mut();
        if !is_separate(uri) {
            return Err(FOREIGN);
        }
        if self.origin.contains(uri) {
            return Ok(());
        }
        match &self.completion {
            Some(origin) if uri.authority().is_none() && uri.scheme().is_none() => {
                *uri = completed(origin, uri.path_and_query()).ok_or(FOREIGN)?;
                Ok(())
            }
            _ => Err(FOREIGN),
        }
    }
}

fn completed(origin: &Uri, path: Option<&PathAndQuery>) -> Option<Uri> {
    let mut parts = origin.clone().into_parts();
    parts.path_and_query = Some(path.cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    Uri::from_parts(parts).ok()
}

const FOREIGN: TokenError =
    TokenError::new(TokenErrorKind::Origin, "the request is not for the declared origin, so it gets no token");
