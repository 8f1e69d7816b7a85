use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};

/// The place of a body that was dropped before its end.
pub(super) type Slot<B> = Arc<Mutex<Option<B>>>;

/// The body of a request behind a [`DrainLayer`](super::DrainLayer), which gets it back if it is dropped before its end.
pub struct DrainedBody<B> {
    /// `None` only while it is dropped.
    body: Option<B>,
    slot: Option<Slot<B>>,
    /// The client sends the body, so that its rest has to be read.
    is_sent: bool,
}

impl<B> DrainedBody<B> {
    pub(super) const fn new(body: B, slot: Option<Slot<B>>, is_sent: bool) -> Self {
        Self { body: Some(body), slot, is_sent }
    }
}

impl<B> Drop for DrainedBody<B> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.as_ref().filter(|_| self.is_sent) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
        }
    }
}

impl<B: Body + Unpin> Body for DrainedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        // A client that waits for 100 sends the body from now on.
        self.is_sent = true;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, B::size_hint)
    }
}

impl<B> fmt::Debug for DrainedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrainedBody").finish_non_exhaustive()
    }
}
