use http::{HeaderMap, HeaderName, HeaderValue, Request, header};

use crate::{
    caller::{Anonymous, Principal},
    gate::{Pass, sealed::Sealed},
};

/// The [`Principal`](crate::Principal) of an admitted request, and the header fields of its response.
#[derive(Debug)]
pub struct Admitted {
    caller: Option<Caller>,
    response_fields: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
enum Caller {
    Anonymous(Anonymous),
    Known(Principal),
}

impl Admitted {
    pub(super) const fn anonymous(anonymous: Anonymous) -> Self {
        Self { caller: Some(Caller::Anonymous(anonymous)), response_fields: Vec::new() }
    }

    pub(super) const fn principal(principal: Principal, response_fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self { caller: Some(Caller::Known(principal)), response_fields }
    }
}

impl Sealed for Admitted {}

impl Pass for Admitted {
    fn admit<B>(&mut self, request: &mut Request<B>) {
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

    fn decorate(&mut self, headers: &mut HeaderMap) {
        if self.response_fields.is_empty() {
            return;
        }
        // RFC 9449 §8.2: a cache would hand out a nonce that is too old.
        headers.insert(header::CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
        headers.extend(self.response_fields.drain(..));
    }
}
