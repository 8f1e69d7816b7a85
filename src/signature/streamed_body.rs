use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::content_digest::Comparison;
use crate::{body::BodyLimits, reason::Reason};

pin_project! {
    /// The body of a request behind a [`StreamedContentLayer`](super::StreamedContentLayer), whose digest is computed while it is
    /// read.
    ///
    /// If the content is not the one that was digested, there is an error in the place of its end: an [`UnverifiedContent`], or
    /// the error of the original body. The last data frame is withheld if the original body reports that it is the last one.
    pub struct StreamedBody<B> {
        #[pin]
        body: B,
        // `None` if nothing is verified.
        verification: Option<Box<Verification>>,
    }
}

/// The first failure of a stream, for the response.
pub(super) type Failure = Arc<OnceLock<Reason>>;

/// The state of a body of which not all was read.
struct Verification {
    /// `None` if the content has no digest, and is only limited.
    comparison: Option<Comparison>,
    /// Set at the first poll that finds the body incomplete.
    deadline: Option<Pin<Box<Sleep>>>,
    failure: Failure,
    is_over: bool,
    limits: BodyLimits,
    /// The number of bytes that may still arrive.
    remaining: usize,
}

impl<B> StreamedBody<B> {
    pub(super) const fn untouched(body: B) -> Self {
        Self { body, verification: None }
    }

    /// A body that is compared, within limits, and the place of its failure.
    pub(super) fn verified(body: B, limits: BodyLimits, comparison: Option<Comparison>) -> (Self, Failure) {
        let failure = Failure::default();
        let verification = Verification {
            comparison,
            deadline: None,
            failure: Arc::clone(&failure),
            is_over: false,
            limits,
            remaining: limits.max_bytes(),
        };
        (Self { body, verification: Some(Box::new(verification)) }, failure)
    }
}

impl Verification {
    /// Adds a part of the content, before the handler has it.
    fn receive(&mut self, part: &[u8]) -> Result<(), UnverifiedContent> {
        let Some(remaining) = self.remaining.checked_sub(part.len()) else {
            return Err(self.fail(Reason::BODY_TOO_LARGE));
        };
        self.remaining = remaining;
        if let Some(comparison) = &mut self.comparison {
            comparison.update(part);
        }
        Ok(())
    }

    /// Compares the content, all of which has arrived.
    fn end(&mut self) -> Result<(), UnverifiedContent> {
        self.is_over = true;
        let matches = self.comparison.take().is_none_or(Comparison::matches);
        if matches { Ok(()) } else { Err(self.fail(Reason::SIGNATURE_CONTENT_CHANGED)) }
    }

    fn fail(&mut self, reason: Reason) -> UnverifiedContent {
        self.is_over = true;
        let _ = self.failure.set(reason);
        UnverifiedContent { reason }
    }

    /// Completes when the time for the content is over.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.deadline.as_mut().map_or(Poll::Pending, |deadline| deadline.as_mut().poll(cx))
    }
}

impl<B: Body> Body for StreamedBody<B>
where
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut this = self.project();
        // `Bytes` are moved, not copied.
        let into_bytes = |mut data: B::Data| data.copy_to_bytes(data.remaining());
        let Some(verification) = this.verification else {
            let frame = this.body.poll_frame(cx);
            return frame
                .map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(into_bytes)).map_err(Into::into)));
        };
        if verification.is_over {
            return Poll::Ready(None);
        }
        let frame = this.body.as_mut().poll_frame(cx);
        if frame.is_pending() && verification.deadline.is_none() {
            verification.deadline = Some(Box::pin(sleep(verification.limits.timeout())));
        }
        if verification.poll_deadline(cx).is_ready() {
            return Poll::Ready(Some(Err(verification.fail(Reason::BODY_TIMEOUT).into())));
        }
        frame.map(|frame| match frame {
            None => verification.end().err().map(|error| Err(error.into())),
            Some(Err(error)) => {
                verification.fail(Reason::BODY_INCOMPLETE);
                Some(Err(error.into()))
            }
            Some(Ok(frame)) => {
                let frame = frame.map_data(into_bytes);
                let is_last = this.body.is_end_stream();
                Some(verification.pass(frame, is_last).map_err(Into::into))
            }
        })
    }

    /// Not before the content was compared: who sees the end would not ask for the error.
    fn is_end_stream(&self) -> bool {
        self.verification.as_ref().map_or_else(|| self.body.is_end_stream(), |verification| verification.is_over)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.verification {
            Some(verification) if verification.is_over => SizeHint::with_exact(0),
            _ => self.body.size_hint(),
        }
    }
}

impl Verification {
    /// A frame that the handler may have.
    fn pass(&mut self, frame: Frame<Bytes>, is_last: bool) -> Result<Frame<Bytes>, UnverifiedContent> {
        if let Some(data) = frame.data_ref() {
            self.receive(data)?;
            if is_last {
                self.end()?;
            }
        }
        if let Some(trailers) = frame.trailers_ref() {
            // No signature covers them.
            if self.comparison.is_some() && !trailers.is_empty() {
                return Err(self.fail(Reason::SIGNATURE_CONTENT_CHANGED));
            }
            self.end()?;
        }
        Ok(frame)
    }
}

impl<B> fmt::Debug for StreamedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamedBody").field("is_verified", &self.verification.is_some()).finish_non_exhaustive()
    }
}

/// The end of content that is not what was signed, or exceeds the limits: what was read of it is to be discarded.
///
/// It is the error of a [`StreamedBody`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the content of the request is not the signed one, or exceeds the limits")]
pub struct UnverifiedContent {
    reason: Reason,
}

impl UnverifiedContent {
    /// The reason: `signature_content_changed`, `body_too_large` or `body_timeout`.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}
