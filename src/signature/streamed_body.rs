use std::{
    error::Error,
    fmt, mem,
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

/// The most frames that are passed on in one run.
///
/// The limit of bytes does not bound a body of empty frames that is always ready; the timeout does, if its timer can run.
const FRAMES_PER_RUN: usize = 64;

pin_project! {
    /// The body of a request behind a [`StreamedContentLayer`](super::StreamedContentLayer), whose digest is computed while it is
    /// read.
    ///
    /// If the content is not the one that was digested, there is an error in the place of its end: an [`UnverifiedContent`], or
    /// the error of the original body. The last data frame is passed on after the comparison if the original body reports with it
    /// that no data follow: by its end, or by the exact length that remains.
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
    /// Set at the first poll that does not complete the content: most bodies need no timer.
    deadline: Option<Pin<Box<Sleep>>>,
    digest: DigestState,
    failure: Failure,
    is_over: bool,
    limits: BodyLimits,
    /// The number of bytes that may still arrive.
    remaining: usize,
    /// The number of frames since the body, or this one, was last pending.
    run: usize,
}

/// The state of the comparison of content with its digests.
#[expect(clippy::large_enum_variant, reason = "it is in the box of the other state")]
#[derive(Default)]
pub(super) enum DigestState {
    /// There are none: the content is only limited.
    #[default]
    Absent,
    /// Not all content has arrived.
    Compared(Comparison),
    /// All content has arrived, and has the digests: neither data nor trailer fields may follow.
    Equal,
    /// No content has the digests, or that which has arrived has not.
    Unequal,
}

impl DigestState {
    /// The state when all content has arrived.
    fn completed(self) -> Self {
        match self {
            Self::Compared(comparison) => {
                if comparison.matches() {
                    Self::Equal
                } else {
                    Self::Unequal
                }
            }
            Self::Absent | Self::Equal | Self::Unequal => self,
        }
    }
}

impl<B> StreamedBody<B> {
    pub(super) const fn untouched(body: B) -> Self {
        Self { body, verification: None }
    }

    /// A body that is compared, within limits, and the place of its failure.
    pub(super) fn verified(body: B, limits: BodyLimits, digest: DigestState) -> (Self, Failure) {
        let failure = Failure::default();
        let verification = Verification {
            deadline: None,
            digest,
            failure: Arc::clone(&failure),
            is_over: false,
            limits,
            remaining: limits.max_bytes(),
            run: 0,
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
        match &mut self.digest {
            DigestState::Compared(comparison) => comparison.update(part),
            // The body has more than the length that it reported.
            DigestState::Equal if !part.is_empty() => return Err(self.fail(Reason::SIGNATURE_CONTENT_CHANGED)),
            DigestState::Absent | DigestState::Equal | DigestState::Unequal => {}
        }
        Ok(())
    }

    /// Compares the content, all of which has arrived. Trailer fields may still follow.
    fn compare(&mut self) -> Result<(), UnverifiedContent> {
        self.digest = mem::take(&mut self.digest).completed();
        match self.digest {
            DigestState::Unequal => Err(self.fail(Reason::SIGNATURE_CONTENT_CHANGED)),
            DigestState::Absent | DigestState::Compared(_) | DigestState::Equal => Ok(()),
        }
    }

    /// Compares the content at the end of the body.
    fn end(&mut self) -> Result<(), UnverifiedContent> {
        self.is_over = true;
        self.compare()
    }

    fn fail(&mut self, reason: Reason) -> UnverifiedContent {
        self.is_over = true;
        let _ = self.failure.set(reason);
        UnverifiedContent { reason }
    }

    /// Completes when the time for the content is over, which begins at the first call.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.limits.timeout();
        self.deadline.get_or_insert_with(|| Box::pin(sleep(timeout))).as_mut().poll(cx)
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
        if verification.run == FRAMES_PER_RUN {
            verification.run = 0;
            if verification.poll_deadline(cx).is_ready() {
                return Poll::Ready(Some(Err(verification.fail(Reason::BODY_TIMEOUT).into())));
            }
            // The body was not pending, so nothing else wakes the task.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let frame = this.body.as_mut().poll_frame(cx);
        verification.run = if frame.is_ready() { verification.run + 1 } else { 0 };
        let is_ended = this.body.is_end_stream();
        // A reader that knows the length stops there, and does not ask for the end.
        let is_complete = is_ended || this.body.size_hint().exact() == Some(0);
        let is_timed = verification.deadline.is_some() || frame.is_pending() || !is_complete;
        if is_timed && verification.poll_deadline(cx).is_ready() {
            return Poll::Ready(Some(Err(verification.fail(Reason::BODY_TIMEOUT).into())));
        }
        frame.map(|frame| match frame {
            None => verification.end().err().map(|error| Err(error.into())),
            Some(Err(error)) => {
                verification.fail(Reason::BODY_INCOMPLETE);
                Some(Err(error.into()))
            }
            Some(Ok(frame)) => {
                let passed = verification.pass(frame.map_data(into_bytes), is_complete);
                verification.is_over |= is_ended;
                Some(passed.map_err(Into::into))
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
    /// A frame that the handler may have. After a complete one, no data follow.
    fn pass(&mut self, frame: Frame<Bytes>, is_complete: bool) -> Result<Frame<Bytes>, UnverifiedContent> {
        if let Some(data) = frame.data_ref() {
            self.receive(data)?;
            if is_complete {
                self.compare()?;
            }
        }
        if let Some(trailers) = frame.trailers_ref() {
            // No signature covers them.
            if !matches!(self.digest, DigestState::Absent) && !trailers.is_empty() {
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
