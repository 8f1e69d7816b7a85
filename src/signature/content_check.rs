use http::Extensions;

use super::{
    content_digest::Content,
    input::{self, ClaimedSignatures},
    streamed_layer::StreamedContentLayer,
};
use crate::{
    Eventual,
    body::{BodyCheck, BodyLimits, BufferedRequest},
    refusal::Rejection,
    request::Head,
};

/// Compares the content of signed requests with their `Content-Digest`, for [`Signatures`](super::Signatures) inside.
///
/// It refuses only content that exceeds the limits; what it has found decides inside, where the signature is verified.
/// Trailer fields, which no signature covers, count as changed content. Requests without a signature that is well formed stream
/// through untouched. Mount it by a [`BodyCheckLayer`](crate::layer::BodyCheckLayer) outside of the
/// [`AuthLayer`](crate::layer::AuthLayer): without it, signed requests are refused with 500.
/// [`danger_stream_content`](Self::danger_stream_content) does not buffer the content.
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

    /// Streams content to the handler while it is compared, instead of reading all of it first: for uploads that are larger than
    /// what may be held in memory. The handler acts on bytes that are not verified, until it has read the end of the body.
    ///
    /// Anyone who relays a request can change its content. The handler then receives those bytes, and an
    /// [`UnverifiedContent`](super::UnverifiedContent) error in the place of the end. It must therefore read up to the end, and
    /// undo on an error what it did; JSON that is complete before the end, or a part of a file that was stored, is not verified.
    ///
    /// - The signature is verified before any content is read, and recorded as used: a changed content uses it up.
    /// - A response that the handler makes after the error is replaced by 400, 408 or 413. One that it makes earlier is sent.
    /// - The last part is passed on after the comparison if its end comes with it, or if the length of the content is declared.
    /// - Content needs a digest even if it turns out to be empty, unless its end, or the length 0, comes with the header fields.
    /// - The `Content-Digest` of content that is not empty is compared whether or not the signature covers it. A malformed one is
    ///   that of no content.
    /// - The limits are those of the stream. In the time, the handler's own delays are included.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use axum::{Router, body::Body, extract::Request, routing::put};
    /// use futures_util::TryStreamExt;
    /// use http::StatusCode;
    /// use tower::{ServiceBuilder, ServiceExt};
    /// use tower_warden::{
    ///     AuthMethod, Identity, UnixTime,
    ///     body::BodyLimits,
    ///     jwt::Algorithm,
    ///     layer::AuthLayer,
    ///     signature::{ContentDigestCheck, MessageSigner, SignatureKeyMap, SignaturePolicy, Signatures},
    ///     testing::SigningKey,
    /// };
    ///
    /// /// Stores an upload under a temporary name, and gives it its name once all of it is verified.
    /// async fn upload(request: Request) -> Result<(), StatusCode> {
    ///     let mut parts = request.into_body().into_data_stream();
    ///     let mut stored = 0;
    ///     while let Some(part) = parts.try_next().await.map_err(|_| StatusCode::BAD_REQUEST)? {
    ///         stored += part.len();
    ///     }
    ///     // Here, and not earlier, the content is the one that was signed.
    ///     Ok(())
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let key = SigningKey::named(Algorithm::EdDSA, "agent-7-2026");
    /// let agent = Identity::new("agent-7", AuthMethod::Signature);
    /// let keys = SignatureKeyMap::default().with("agent-7-2026", key.verifying_key(), agent);
    /// let signatures = Signatures::new(SignaturePolicy::new("https://api.example.com")?, keys);
    ///
    /// let limits = BodyLimits::new(256 << 20, Duration::from_secs(300))?;
    /// let layers = ServiceBuilder::new()
    ///     .layer(ContentDigestCheck::new(limits).danger_stream_content())
    ///     .layer(AuthLayer::new(signatures));
    /// let app: Router = Router::new().route("/files/7", put(upload)).layer(layers);
    ///
    /// let signer = MessageSigner::new(key);
    /// let request = |body: &'static str| {
    ///     let uri = "https://api.example.com/files/7";
    ///     let (mut parts, ()) = axum::http::Request::put(uri).body(()).expect("a request").into_parts();
    ///     signer.sign_request(&mut parts, b"signed content", UnixTime::now()).expect("a signature");
    ///     app.clone().oneshot(Request::from_parts(parts, Body::from(body)))
    /// };
    /// assert_eq!(request("signed content").await?.status(), 200);
    /// assert_eq!(request("other content.").await?.status(), 400);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn danger_stream_content(self) -> StreamedContentLayer {
        StreamedContentLayer::new(self)
    }
}

impl BodyCheck for ContentDigestCheck {
    fn limits(&self, head: &Head<'_>) -> Option<BodyLimits> {
        // What is not signed, or by malformed fields only, is refused inside without its content, or is no business of this
        // check.
        let has_readable = |signatures: ClaimedSignatures<'_>| signatures.iter().any(Result::is_ok);
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
