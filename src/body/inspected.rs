use std::{
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::reader::Content;

pin_project! {
    /// The body of a request behind a [`BodyCheckLayer`](super::BodyCheckLayer): what was read, or the body itself if the
    /// request was not inspected.
    ///
    /// What was read is one data frame, unless it is empty, and then the trailers; its [`size_hint`](Body::size_hint) is
    /// exact. The error type is that of the original body.
    pub struct InspectedBody<B> {
        #[pin]
        source: Source<B>,
    }
}

pin_project! {
    #[project = SourceProj]
    enum Source<B> {
        Buffered { data: Bytes, trailers: Option<Box<HeaderMap>> },
        Untouched {
            #[pin]
            body: B,
        },
    }
}

impl<B> InspectedBody<B> {
    pub(crate) fn buffered(content: Content) -> Self {
        Self { source: Source::Buffered { data: content.data, trailers: content.trailers } }
    }

    pub(super) const fn untouched(body: B) -> Self {
        Self { source: Source::Untouched { body } }
    }
}

impl<B: Body> Body for InspectedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().source.project() {
            SourceProj::Buffered { data, .. } if !data.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(mem::take(data)))))
            }
            SourceProj::Buffered { trailers, .. } => {
                Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))))
            }
            SourceProj::Untouched { body } => {
                let frame = ready!(body.poll_frame(cx));
                // `Bytes` are moved, not copied.
                let into_bytes = |mut data: B::Data| data.copy_to_bytes(data.remaining());
                Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(into_bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Buffered { data, trailers } => data.is_empty() && trailers.is_none(),
            Source::Untouched { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Buffered { data, .. } => SizeHint::with_exact(data.len() as u64),
            Source::Untouched { body } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for InspectedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Buffered { data, .. } => f.debug_struct("Buffered").field("bytes", &data.len()).finish(),
            Source::Untouched { .. } => f.write_str("Untouched(..)"),
        }
    }
}
