use std::{
    future::poll_fn,
    pin::{Pin, pin},
    time::Duration,
};

use bytes::Buf;
use http::{HeaderMap, Version, header};
use http_body::{Body, Frame};
use tokio::{runtime::Handle, task::yield_now, time::timeout};

/// The most bytes that are read of a body, and the time within which they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_bytes: u64,
    pub(super) timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, timeout: Duration::from_secs(30) }
    }
}

/// The most frames that are read before other tasks run: a body that is always ready would never let the time-out pass.
const FRAMES_PER_TURN: usize = 64;

/// Returns whether a client of this version needs the rest of its body to be read before it reads the response.
pub(super) fn is_supported(version: Version) -> bool {
    version < Version::HTTP_2
}

/// Returns whether the client sends the body before it is read.
pub(super) fn is_sent_at_once(headers: &HeaderMap) -> bool {
    // To read the body of a client that waits for 100 (RFC 9110 §10.1.1) would make it send the body.
    !headers.contains_key(header::EXPECT)
}

/// Reads the rest of a body in a task of its own. Without a runtime, it is dropped.
pub(super) fn drain<B: Body + Send + Unpin + 'static>(body: B, limits: Limits) {
    if body.is_end_stream() {
        return;
    }
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move { timeout(limits.timeout, read(body, limits.max_bytes)).await });
    }
}

async fn read<B: Body + Unpin>(body: B, mut rest: u64) {
    let mut body = pin!(body);
    for count in 1_usize.. {
        let bytes = poll_fn(|cx| Pin::as_mut(&mut body).poll_frame(cx).map(size_of_frame)).await;
        match bytes.and_then(|bytes| rest.checked_sub(bytes)) {
            Some(remaining) => rest = remaining,
            None => return,
        }
        if count % FRAMES_PER_TURN == 0 {
            yield_now().await;
        }
    }
}

/// The bytes of data in a frame; `None` at the end of the body.
fn size_of_frame<D: Buf, E>(frame: Option<Result<Frame<D>, E>>) -> Option<u64> {
    frame?.ok().map(|frame| frame.data_ref().map_or(0, |data| data.remaining() as u64))
}

/// Discards a refused request, after the rest of its body was read if that is the body of axum.
#[cfg(feature = "axum")]
pub(crate) fn discard<B: 'static>(request: http::Request<B>) {
    let mut request = Some(request);
    let request: &mut dyn std::any::Any = &mut request;
    let request = request.downcast_mut::<Option<http::Request<axum_core::body::Body>>>().and_then(Option::take);
    let is_needed = |request: &http::Request<_>| is_supported(request.version()) && is_sent_at_once(request.headers());
    if let Some(request) = request.filter(is_needed) {
        let limits = request.extensions().get().copied().unwrap_or_default();
        drain(request.into_body(), limits);
    }
}
