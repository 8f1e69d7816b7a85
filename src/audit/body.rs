use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{Response, header};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{event::End, guard::Guard};

pin_project! {
    /// The body of an audited response: the event of the request is recorded at its end.
    pub struct AuditBody<B> {
        #[pin]
        body: B,
        guard: Option<Guard>,
        // The bytes that are still to be sent, if the length is known. A server does not poll a body beyond them.
        left: Option<u64>,
    }
}

impl<B: Body> AuditBody<B> {
    pub(super) fn wrap(response: Response<B>, guard: Guard) -> Response<Self> {
        let declared = || response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        let left = response.body().size_hint().exact().or_else(declared);
        response.map(|body| Self { body, guard: Some(guard), left })
    }
}

impl<B: Body> Body for AuditBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(guard) = this.guard else { return this.body.poll_frame(cx) };
        let frame = ready!(guard.run(|| this.body.as_mut().poll_frame(cx)));
        let end = match &frame {
            None => Some(End::Complete),
            Some(Err(_)) => Some(End::Failed),
            Some(Ok(frame)) => {
                let sent = frame.data_ref().map_or(0, |data| u64::try_from(data.remaining()).unwrap_or(u64::MAX));
                *this.left = this.left.map(|left| left.saturating_sub(sent));
                if *this.left == Some(0) {
                    guard.set_end(End::Complete);
                }
                this.body.is_end_stream().then_some(End::Complete)
            }
        };
        if let Some(end) = end {
            guard.set_end(end);
            // The event is recorded now, and not when the server drops the body.
            *this.guard = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a refusal by an outer layer.
impl<B: From<Bytes>> From<Bytes> for AuditBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self { body: B::from(bytes), guard: None, left: None }
    }
}

/// The empty body of a refusal by an outer layer.
impl<B: Default> Default for AuditBody<B> {
    fn default() -> Self {
        Self { body: B::default(), guard: None, left: None }
    }
}

impl<B: fmt::Debug> fmt::Debug for AuditBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditBody").field("body", &self.body).finish_non_exhaustive()
    }
}
