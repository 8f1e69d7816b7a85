use http::Extensions;

use super::{content_digest::Content, input};
use crate::{
    Eventual,
    body::{BodyCheck, BodyLimits, BufferedRequest},
    refusal::Rejection,
    request::Head,
};

/// Compares the content of signed requests with their `Content-Digest`, for [`Signatures`](super::Signatures) inside.
///
/// It refuses only content that exceeds the limits; what it has found decides inside, where the signature is verified.
/// Trailer fields, which no signature covers, count as changed content. Requests without a signature that is well formed stream through untouched. Mount it by a [`BodyCheckLayer`](crate::layer::BodyCheckLayer)
/// outside of the [`AuthLayer`](crate::layer::AuthLayer): without it, signed requests are refused with 500.
///
/// See the [module docs](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct ContentDigestCheck {
    limits: BodyLimits,
}

impl ContentDigestCheck {
    /// Reads content within these limits: 1 MiB and 10 seconds by default.
    #[must_use]
    pub const fn new(limits: BodyLimits) -> Self {
        Self { limits }
    }
}

impl BodyCheck for ContentDigestCheck {
    fn limits(&self, head: &Head<'_>) -> Option<BodyLimits> {
        // What is not signed, or by malformed fields only, is refused inside without its content, or is no business of this
        // check.
        let has_readable = |signatures: Vec<Result<_, _>>| signatures.iter().any(Result::is_ok);
        let is_readable = input::is_signed(head.headers) && input::read(head.headers).is_ok_and(has_readable);
        is_readable.then_some(self.limits)
    }

    fn check(&self, request: &BufferedRequest<'_>) -> Eventual<Result<Extensions, Rejection>> {
        let mut extensions = Extensions::new();
        let content = match request.trailers {
            // No signature covers them.
            Some(trailers) if !trailers.is_empty() => Content::Changed,
            _ => Content::compare(request.head.headers, request.body),
        };
        extensions.insert(CheckedContent(content));
        Eventual::Now(Ok(extensions))
    }
}

/// The result, in the extensions of a request. Nothing else makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckedContent(pub(super) Content);
