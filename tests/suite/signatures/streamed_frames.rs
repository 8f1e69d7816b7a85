//! Streamed content whose length is declared, or whose frames are always ready.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{ServiceBuilder, ServiceExt};
use tower_warden::signature::{
    ContentDigestCheck, SignaturePolicy, Signatures, StreamedBody, StreamedContentLayer, UnverifiedContent,
};

use super::streamed::{limited, send};
use crate::{
    signed::{ORIGIN, Stack, agents, assert_refused, auth, post, seconds},
    support::Answer,
};

/// A body with a declared length, whose end comes after its last data frame, as without `END_STREAM` in HTTP/2.
struct Declared {
    frames: VecDeque<Frame<Bytes>>,
    remaining: usize,
}

impl Declared {
    fn new(frames: &[&'static str]) -> Self {
        let remaining = frames.iter().map(|frame| frame.len()).sum();
        let frames = frames.iter().map(|frame| Frame::data(Bytes::from_static(frame.as_bytes()))).collect();
        Self { frames, remaining }
    }

    fn then(mut self, frame: Frame<Bytes>) -> Self {
        self.frames.push_back(frame);
        self
    }
}

impl Body for Declared {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.frames.pop_front();
        let length = frame.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
        self.remaining = self.remaining.saturating_sub(length);
        Poll::Ready(frame.map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining as u64)
    }
}

fn role() -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("x-role"), HeaderValue::from_static("admin"))])
}

fn streaming() -> StreamedContentLayer {
    ContentDigestCheck::default().danger_stream_content()
}

// (217)
#[tokio::test]
async fn changed_last_frame_of_a_declared_length_does_not_reach_the_handler() {
    let whole = || Declared::new(&["ab", "cx"]);
    for body in [whole(), whole().then(Frame::trailers(HeaderMap::new())), whole().then(Frame::trailers(role()))] {
        let stack = Stack::new();
        let (answer, received) = send(&stack, ContentDigestCheck::default(), post(&stack, "abcd"), body).await;
        answer.assert_reason(400, "signature_content_changed");
        assert_eq!((received.text().as_str(), received.error()), ("ab", Some("signature_content_changed")));
    }
}

// (217)
#[tokio::test]
async fn handler_that_stops_at_the_declared_length_receives_the_error() {
    for (frames, expected) in [(["ab", "cd"], Ok("abcd")), (["ab", "cx"], Err("signature_content_changed"))] {
        let stack = Stack::new();
        let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents(&stack.key));
        let layers = ServiceBuilder::new().layer(streaming()).layer(auth(signatures, &stack.clock));
        let app = layers.service_fn(async |request: Request<StreamedBody<Declared>>| {
            let (mut body, mut received) = (request.into_body(), Vec::new());
            while body.size_hint().exact() != Some(0) {
                match body.frame().await.unwrap() {
                    Ok(frame) => received.extend(frame.into_data().unwrap()),
                    Err(error) => assert!(error.is::<UnverifiedContent>()),
                }
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(received)))
        });
        let request = post(&stack, "abcd").body(Declared::new(&frames)).unwrap();
        let answer = Answer::read(app.oneshot(request).await.unwrap()).await;
        match expected {
            Ok(text) => answer.assert_subject(text),
            Err(reason) => answer.assert_reason(400, reason),
        }
    }
}

// (238)
#[tokio::test]
async fn trailers_after_the_declared_length_are_refused() {
    for (trailers, is_valid) in [(role(), false), (HeaderMap::new(), true)] {
        let stack = Stack::new();
        let body = Declared::new(&["ab", "cd"]).then(Frame::trailers(trailers));
        let (answer, received) = send(&stack, ContentDigestCheck::default(), post(&stack, "abcd"), body).await;
        assert_eq!(answer.status.as_u16(), if is_valid { 200 } else { 400 });
        assert_eq!(received.error(), (!is_valid).then_some("signature_content_changed"));
    }
}

// (217)
#[tokio::test]
async fn content_beyond_the_declared_length_is_refused() {
    for (frames, more) in [(&["ab", "cd"][..], "e"), (&["ab"], "cd")] {
        let stack = Stack::new();
        let body = Declared::new(frames).then(Frame::data(Bytes::from_static(more.as_bytes())));
        let (answer, received) = send(&stack, ContentDigestCheck::default(), post(&stack, "abcd"), body).await;
        answer.assert_reason(400, "signature_content_changed");
        assert_eq!(received.error(), Some("signature_content_changed"));
        assert!(!received.text().contains(more));
    }
}

#[tokio::test]
async fn content_of_declared_length_zero_needs_no_digest_and_has_none_of_other_content() {
    let (stack, check) = (Stack::new(), ContentDigestCheck::default());
    let (answer, received) = send(&stack, check, stack.get(), Declared::new(&[])).await;
    assert_eq!((answer.status.as_u16(), received.error()), (200, None));
    let (answer, received) = send(&stack, check, post(&stack, "abcd"), Declared::new(&[])).await;
    assert_refused(&answer, "signature_content_changed");
    assert_eq!((received.text().as_str(), received.error()), ("", None));
}

// (217, 238)
#[tokio::test]
async fn what_follows_content_of_declared_length_zero_is_refused() {
    for frame in [Frame::data(Bytes::from_static(b"ab")), Frame::trailers(role())] {
        let stack = Stack::new();
        let body = Declared::new(&[]).then(frame);
        let (answer, received) = send(&stack, ContentDigestCheck::default(), stack.get(), body).await;
        answer.assert_reason(400, "signature_content_changed");
        assert_eq!((received.text().as_str(), received.error()), ("", Some("signature_content_changed")));
    }
}

#[tokio::test(start_paused = true)]
async fn empty_frames_that_are_always_ready_leave_time_to_others_and_end_at_the_time_limit() {
    let stack = Stack::new();
    let body = StreamBody::new(stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::new()))));
    let sent = send(&stack, limited(100), post(&stack, "abcd"), body);
    let clock = async {
        for _ in 0..10 {
            tokio::time::advance(seconds(1)).await;
        }
    };
    let ((answer, received), ()) = tokio::join!(sent, clock);
    answer.assert_reason(408, "body_timeout");
    assert_eq!((received.text().as_str(), received.error()), ("", Some("body_timeout")));
}

#[tokio::test(start_paused = true)]
async fn time_of_the_handler_is_limited_also_if_the_content_is_always_ready() {
    let stack = Stack::new();
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents(&stack.key));
    let layers = ServiceBuilder::new().layer(limited(100).danger_stream_content());
    let app = layers.layer(auth(signatures, &stack.clock)).service_fn(async |request: Request<StreamedBody<_>>| {
        let mut body = request.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        tokio::time::advance(seconds(6)).await;
        assert!(body.frame().await.unwrap().is_err());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let request = post(&stack, "abcd").body(Declared::new(&["ab", "cd"])).unwrap();
    Answer::read(app.oneshot(request).await.unwrap()).await.assert_reason(408, "body_timeout");
}
