use std::{
    error::Error,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::watch::CredentialWatch;
use crate::log;

pin_project! {
    /// A response body that ends with an error when the credential of its request has ended.
    ///
    /// The error is a [`CredentialEnded`](super::CredentialEnded), or that of the inner body.
    pub struct GuardedBody<B> {
        // Dropped when the credential has ended.
        #[pin]
        body: Option<B>,
        watch: Option<CredentialWatch>,
        has_begun: bool,
    }
}

impl<B> GuardedBody<B> {
    pub(super) const fn new(body: B, watch: Option<CredentialWatch>) -> Self {
        Self { body: Some(body), watch, has_begun: false }
    }
}

impl<B: Body> Body for GuardedBody<B>
where
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = B::Data;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let mut this = self.project();
        // A body of one frame is sent whenever its response was made, and without a timer.
        let is_first = !mem::replace(this.has_begun, true);
        let mut frame = Poll::Pending;
        if is_first {
            frame = poll(this.body.as_mut(), cx);
        }
        if frame.is_pending() {
            if let Poll::Ready(ended) = poll_watch(this.watch, cx) {
                // What produces the body notices that nobody reads it any more.
                this.body.set(None);
                return Poll::Ready(Some(Err(ended)));
            }
            if !is_first {
                frame = poll(this.body, cx);
            }
        }
        let frame = ready!(frame);
        if !matches!(frame, Some(Ok(_))) {
            *this.watch = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}

fn poll<B: Body>(body: Pin<&mut Option<B>>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
    body.as_pin_mut().map_or(Poll::Ready(None), |body| body.poll_frame(cx))
}

/// Completes once, when the credential has ended.
fn poll_watch(watch: &mut Option<CredentialWatch>, cx: &mut Context<'_>) -> Poll<Box<dyn Error + Send + Sync>> {
    let Some(waiting) = watch else { return Poll::Pending };
    let ended = ready!(Pin::new(&mut *waiting).poll(cx));
    #[cfg(feature = "audit")]
    waiting.note(ended);
    *watch = None;
    log::debug!(reason = %ended.reason(), "a response is ended, because its credential has ended");
    Poll::Ready(ended.into())
}

/// The body of a refusal by an outer layer.
impl<B: From<Bytes>> From<Bytes> for GuardedBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self::new(B::from(bytes), None)
    }
}

/// The empty body of a refusal by an outer layer.
impl<B: Default> Default for GuardedBody<B> {
    fn default() -> Self {
        Self::new(B::default(), None)
    }
}

impl<B> fmt::Debug for GuardedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedBody").field("watch", &self.watch).finish_non_exhaustive()
    }
}
