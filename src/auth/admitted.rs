use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, header};

use super::authentication::Reporting;
use crate::{
    caller::{Anonymous, Principal},
    gate::{Pass, sealed::Sealed},
};

/// The [`Principal`](crate::Principal) of an admitted request, and the header fields of its response.
#[derive(Debug)]
pub struct Admitted {
    caller: Option<Caller>,
    /// A copy for the response; boxed, because it is rare.
    reported: Option<Box<Principal>>,
    response_fields: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
enum Caller {
    Anonymous(Anonymous),
    Known(Principal),
}

impl Admitted {
    pub(super) const fn anonymous(anonymous: Anonymous) -> Self {
        Self { caller: Some(Caller::Anonymous(anonymous)), reported: None, response_fields: Vec::new() }
    }

    pub(super) fn principal(
        principal: Principal,
        response_fields: Vec<(HeaderName, HeaderValue)>,
        reporting: Reporting,
    ) -> Self {
        let reported = match reporting {
            Reporting::EveryResponse => Some(Box::new(principal.clone())),
            Reporting::Refusals => None,
        };
        Self { caller: Some(Caller::Known(principal)), reported, response_fields }
    }
}

#[cfg(feature = "audit")]
impl Admitted {
    /// Notes the caller for the audit event of the request.
    fn note<B>(&self, request: &Request<B>) {
        crate::trail::note(request.extensions(), |notes| {
            notes.see(&crate::Head::from(request));
            notes.is_decided = true;
            // Of an attempt before, if something outside tries several services.
            notes.refusal = None;
            notes.principal = match &self.caller {
                Some(Caller::Known(principal)) => Some(principal.clone()),
                Some(Caller::Anonymous(_)) | None => None,
            };
        });
    }
}

impl Sealed for Admitted {}

impl Pass for Admitted {
    fn admit<B>(&mut self, request: &mut Request<B>) {
        #[cfg(feature = "audit")]
        self.note(request);
        match self.caller.take() {
            None => {}
            Some(Caller::Anonymous(anonymous)) => {
                // The principal of an outer layer is not that of this one.
                request.extensions_mut().remove::<Principal>();
                request.extensions_mut().insert(anonymous);
            }
            Some(Caller::Known(principal)) => {
                principal.conceal(request.headers_mut());
                request.extensions_mut().insert(principal);
            }
        }
    }

    fn annotate(&mut self, extensions: &mut Extensions) {
        if let Some(principal) = self.reported.take() {
            extensions.insert(*principal);
        }
    }

    fn decorate(&mut self, headers: &mut HeaderMap) {
        if self.response_fields.is_empty() {
            return;
        }
        // RFC 9449 §8.2: a cache would hand out a nonce that is too old.
        headers.insert(header::CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
        headers.extend(self.response_fields.drain(..));
    }
}
