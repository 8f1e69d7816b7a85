//! Reads a body within limits.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, Bytes};
use http::HeaderMap;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::limits::BodyLimits;
use crate::{
    reason::Reason,
    refusal::{Rejection, RejectionKind},
};

/// The most frames that are read in one poll.
///
/// The limit of bytes does not bound a body of empty frames that is always ready; the timeout does, if it is polled.
const FRAMES_PER_POLL: usize = 64;

/// The content of a body.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) data: Bytes,
    /// Few requests have some, and all would move their place.
    pub(crate) trailers: Option<Box<HeaderMap>>,
}

pin_project! {
    /// A future of the content of a body.
    pub(crate) struct Reader<B> {
        #[pin]
        body: B,
        // Set at the first poll that finds the body incomplete: most bodies need no timer.
        #[pin]
        deadline: Option<Sleep>,
        limits: BodyLimits,
        buffer: Buffer,
        trailers: Option<Box<HeaderMap>>,
    }
}

impl<B: Body> Reader<B> {
    /// Reads a body, which may be known to be too large already.
    pub(crate) fn new(body: B, limits: BodyLimits) -> Result<Self, Rejection> {
        if body.size_hint().lower() > limits.max_bytes() as u64 {
            return Err(too_large());
        }
        Ok(Self { body, deadline: None, limits, buffer: Buffer::default(), trailers: None })
    }
}

impl<B: Body> Future for Reader<B> {
    type Output = Result<Content, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut frames = 0;
        while frames < FRAMES_PER_POLL {
            let frame = match this.body.as_mut().poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(_))) => {
                    return Poll::Ready(Err(Rejection::new(RejectionKind::BodyInvalid, Reason::BODY_INCOMPLETE)));
                }
                Poll::Ready(None) => {
                    let (data, trailers) = (mem::take(this.buffer).into_bytes(), this.trailers.take());
                    return Poll::Ready(Ok(Content { data, trailers }));
                }
            };
            frames += 1;
            match frame.into_data() {
                Ok(data) => this.buffer.push(data, this.limits.max_bytes())?,
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        *this.trailers = Some(Box::new(trailers));
                    }
                }
            }
        }
        if this.deadline.is_none() {
            this.deadline.set(Some(sleep(this.limits.timeout())));
        }
        let deadline = this.deadline.as_pin_mut().expect("set above");
        if deadline.poll(cx).is_ready() {
            return Poll::Ready(Err(Rejection::new(RejectionKind::BodyTimeout, Reason::BODY_TIMEOUT)));
        }
        if frames == FRAMES_PER_POLL {
            // The body was not pending, so nothing else wakes the task.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

pub(super) fn too_large() -> Rejection {
    Rejection::new(RejectionKind::BodyTooLarge, Reason::BODY_TOO_LARGE)
}

/// The data of the frames so far: up to one frame as it came, or several that were copied.
///
/// Frames are not kept side by side: each occupies more memory than its bytes, and there may be as many as bytes.
#[derive(Default)]
struct Buffer {
    single: Bytes,
    joined: Vec<u8>,
}

impl Buffer {
    fn push(&mut self, mut data: impl Buf, max_bytes: usize) -> Result<(), Rejection> {
        let length = self.single.len() + self.joined.len();
        let more = data.remaining();
        if more > max_bytes - length {
            return Err(too_large());
        }
        if more == 0 {
            return Ok(());
        }
        if length == 0 {
            // `Bytes` are moved, not copied.
            self.single = data.copy_to_bytes(more);
            return Ok(());
        }
        let needed = length + more;
        if needed > self.joined.capacity() {
            // Twice as much each time, never more than the limit.
            let capacity = needed.max(self.joined.capacity().saturating_mul(2)).min(max_bytes);
            self.joined.reserve_exact(capacity - self.joined.len());
        }
        self.joined.extend_from_slice(&mem::take(&mut self.single));
        self.joined.put(data);
        Ok(())
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.single } else { Bytes::from(self.joined) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn tiny_frames_occupy_no_more_memory_than_the_limit() {
        const MOST: usize = 1000;
        let mut buffer = Buffer::default();
        let mut largest = 0;
        for byte in 0..MOST {
            buffer.push(&[byte.to_le_bytes()[0]][..], MOST).unwrap();
            largest = largest.max(buffer.joined.capacity());
        }
        assert_eq!(largest, MOST);
        assert!(buffer.push(&b"x"[..], MOST).is_err());
        let expected: Vec<_> = (0..MOST).map(|byte| byte.to_le_bytes()[0]).collect();
        assert_eq!(buffer.into_bytes(), expected);
    }

    #[test]
    fn a_single_frame_is_not_copied() {
        let frame = Bytes::from(vec![7; 100]);
        let mut buffer = Buffer::default();
        buffer.push(Bytes::new(), 100).unwrap();
        buffer.push(frame.clone(), 100).unwrap();
        buffer.push(Bytes::new(), 100).unwrap();
        assert_eq!(buffer.into_bytes().as_ptr(), frame.as_ptr());
    }
}
