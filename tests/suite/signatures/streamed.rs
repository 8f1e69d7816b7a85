//! Content that is compared while the handler reads it.

use std::{
    convert::Infallible,
    error::Error,
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, request::Builder};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tower::{Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_warden::{
    body::BodyLimits,
    signature::{ContentDigestCheck, DigestAlgorithm, SignaturePolicy, Signatures, StreamedBody, UnverifiedContent},
};

use crate::{
    signed::{ORIGIN, Stack, agents, assert_refused, auth, covered, pair, parameters, post, seconds, signed},
    support::{Answer, START},
};

/// The frames that the handler has received, and its error.
#[derive(Clone, Default)]
pub struct Received(Arc<Mutex<(Vec<Bytes>, Option<&'static str>)>>);

impl Received {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().0.concat()).unwrap()
    }

    pub fn error(&self) -> Option<&'static str> {
        self.0.lock().unwrap().1
    }
}

/// A server whose handler reads up to the end or an error, and responds with 200 in both cases.
pub async fn send<B>(stack: &Stack, check: ContentDigestCheck, request: Builder, body: B) -> (Answer, Received)
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    send_under(SignaturePolicy::new(ORIGIN).unwrap(), stack, check, request, body).await
}

async fn send_under<B>(
    policy: SignaturePolicy,
    stack: &Stack,
    check: ContentDigestCheck,
    request: Builder,
    body: B,
) -> (Answer, Received)
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let received = Received::default();
    let handler = service_fn(|request: Request<StreamedBody<B>>| {
        let Received(received) = received.clone();
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => received.lock().unwrap().0.extend(frame.into_data()),
                    Err(error) => {
                        let reason = error
                            .downcast_ref()
                            .map_or("another error", |error: &UnverifiedContent| error.reason().as_str());
                        received.lock().unwrap().1 = Some(reason);
                    }
                }
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
        }
    });
    let signatures = Signatures::new(policy, agents(&stack.key));
    let layers = ServiceBuilder::new().layer(check.danger_stream_content()).layer(auth(signatures, &stack.clock));
    let response = layers.service(handler).oneshot(request.body(body).unwrap()).await.unwrap();
    (Answer::read(response).await, received)
}

/// A body of these frames, whose length and end are not known before.
fn chunked(frames: &[&'static str]) -> impl Body<Data = Bytes, Error = Infallible> + Unpin + use<> {
    let frames: Vec<_> = frames.iter().map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes())))).collect();
    StreamBody::new(stream::iter(frames))
}

pub fn limited(bytes: usize) -> ContentDigestCheck {
    ContentDigestCheck::new(BodyLimits::new(bytes, seconds(5)).unwrap())
}

/// A signed `POST /` that covers this `Content-Digest`.
fn digested(stack: &Stack, digest: &str) -> Builder {
    let components = [&covered("POST", "/")[..], &[pair("content-digest", digest)]].concat();
    let request = Request::post("/").header("content-digest", digest);
    signed(request, &stack.key, &components, &parameters(START.as_secs(), "k1"))
}

fn digest(algorithm: DigestAlgorithm, content: &str) -> String {
    algorithm.content_digest(content.as_bytes()).to_str().unwrap().to_owned()
}

#[tokio::test]
async fn streamed_content_reaches_the_handler_frame_by_frame() {
    let stack = Stack::new();
    let check = ContentDigestCheck::default();
    let (answer, received) = send(&stack, check, post(&stack, "abcdef"), chunked(&["ab", "", "cd", "ef"])).await;
    assert_eq!((answer.status.as_u16(), received.text().as_str(), received.error()), (200, "abcdef", None));
    assert_eq!(received.0.lock().unwrap().0.len(), 4);
}

#[tokio::test]
async fn streamed_content_is_compared_with_each_suitable_digest() {
    let (sha256, sha512) = (DigestAlgorithm::Sha256, DigestAlgorithm::Sha512);
    for (field, is_valid) in [
        (digest(sha512, "content"), true),
        (format!("{}, {}", digest(sha256, "content"), digest(sha512, "content")), true),
        (format!("{}, {}", digest(sha256, "content"), digest(sha512, "other")), false),
        (format!("{}, {}", digest(sha256, "other"), digest(sha512, "content")), false),
        (format!("md5=:mZFLkyvTelC5g8XnyQrpOw==:, {}", digest(sha256, "content")), true),
    ] {
        let stack = Stack::new();
        let (answer, received) =
            send(&stack, ContentDigestCheck::default(), digested(&stack, &field), chunked(&["con", "tent"])).await;
        if is_valid {
            assert_eq!((answer.status.as_u16(), received.error()), (200, None), "{field}");
        } else {
            answer.assert_reason(400, "signature_content_changed");
            assert_eq!(received.error(), Some("signature_content_changed"), "{field}");
        }
    }
}

// (217)
#[tokio::test]
async fn changed_streamed_content_ends_with_an_error_and_400_whatever_the_handler_responds() {
    for frames in [&["ab", "cx"][..], &["ab"], &["ab", "cd", "e"], &[], &[""]] {
        let stack = Stack::new();
        let check = ContentDigestCheck::default();
        let (answer, received) = send(&stack, check, post(&stack, "abcd"), chunked(frames)).await;
        answer.assert_reason(400, "signature_content_changed");
        assert_eq!(received.error(), Some("signature_content_changed"), "{frames:?}");
    }
}

// (217)
#[tokio::test]
async fn changed_streamed_content_of_one_frame_does_not_reach_the_handler() {
    let stack = Stack::new();
    let check = ContentDigestCheck::default();
    let (answer, received) = send(&stack, check, post(&stack, "abcd"), Full::from("abcx")).await;
    answer.assert_reason(400, "signature_content_changed");
    assert_eq!((received.text().as_str(), received.error()), ("", Some("signature_content_changed")));
}

#[tokio::test]
async fn changed_streamed_content_uses_the_signature_up() {
    let (stack, check) = (Stack::new(), ContentDigestCheck::default());
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents(&stack.key));
    let layers = ServiceBuilder::new().layer(check.danger_stream_content()).layer(auth(signatures, &stack.clock));
    let app = layers.service_fn(async |request: Request<StreamedBody<Full<Bytes>>>| {
        let _ = request.into_body().collect().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let send = async |body: &'static str| {
        let request = post(&stack, "abcd").body(Full::<Bytes>::from(body)).unwrap();
        Answer::read(app.clone().oneshot(request).await.unwrap()).await
    };
    send("abcx").await.assert_reason(400, "signature_content_changed");
    assert_refused(&send("abcd").await, "signature_replay");
}

// (218)
#[tokio::test]
async fn streamed_content_without_a_covered_digest_is_refused_before_the_handler() {
    let stack = Stack::new();
    let request = |field: &str| {
        let request = Request::post("/").header("content-digest", field);
        signed(request, &stack.key, &covered("POST", "/"), &parameters(START.as_secs(), "k1"))
    };
    let uncovered = request(&digest(DigestAlgorithm::Sha256, "abcd"));
    let absent = signed(Request::post("/"), &stack.key, &covered("POST", "/"), &parameters(START.as_secs(), "k1"));
    // Whether there is content is not known before it is read.
    let empty = signed(Request::post("/"), &stack.key, &covered("POST", "/"), &parameters(START.as_secs(), "k1"));
    for (request, frames) in [(uncovered, &["abcd"][..]), (absent, &["abcd"]), (empty, &[])] {
        let (answer, received) = send(&stack, ContentDigestCheck::default(), request, chunked(frames)).await;
        assert_refused(&answer, "signature_content_not_covered");
        assert_eq!(received.text(), "");
    }
    // The content may have been removed.
    let weak = digested(&stack, "md5=:mZFLkyvTelC5g8XnyQrpOw==:");
    let (answer, _) = send(&stack, ContentDigestCheck::default(), weak, Full::default()).await;
    assert_refused(&answer, "signature_content_not_covered");
}

#[tokio::test]
async fn malformed_digest_of_streamed_content_is_refused_before_the_handler() {
    let short = "sha-256=:AAAA:";
    for field in ["sha-256", "sha-256=(:AAAA:)", "sha-256=\"text\"", short, "sha-256=:AAAA"] {
        let stack = Stack::new();
        let (answer, received) =
            send(&stack, ContentDigestCheck::default(), digested(&stack, field), chunked(&["abcd"])).await;
        assert_refused(&answer, "signature_content_changed");
        assert_eq!(received.text(), "");
    }
}

// (218)
#[tokio::test]
async fn digest_of_streamed_content_that_need_not_be_covered_is_compared_and_a_malformed_one_is_that_of_no_content() {
    for (field, is_valid) in [
        (digest(DigestAlgorithm::Sha256, "abcd"), true),
        (digest(DigestAlgorithm::Sha256, "abcx"), false),
        ("sha-256=:AAAA:".to_owned(), false),
        ("(".to_owned(), false),
    ] {
        let stack = Stack::new();
        let policy = SignaturePolicy::new(ORIGIN).unwrap().danger_accept_unsigned_content();
        let request = Request::post("/").header("content-digest", &field);
        let request = signed(request, &stack.key, &covered("POST", "/"), &parameters(START.as_secs(), "k1"));
        let check = ContentDigestCheck::default();
        let (answer, received) = send_under(policy, &stack, check, request, chunked(&["ab", "cd"])).await;
        assert_eq!(answer.status.as_u16(), if is_valid { 200 } else { 400 }, "{field}");
        assert_eq!(received.error(), (!is_valid).then_some("signature_content_changed"), "{field}");
    }
}

// (237)
#[tokio::test]
async fn content_type_of_streamed_content_that_is_not_covered_is_refused() {
    let stack = Stack::new();
    let request = post(&stack, "{}").header("content-type", "application/json");
    let (answer, _) = send(&stack, ContentDigestCheck::default(), request, chunked(&["{}"])).await;
    assert_refused(&answer, "signature_not_covered");
}

#[tokio::test]
async fn streamed_request_without_content_needs_no_digest() {
    let stack = Stack::new();
    let (answer, _) = send(&stack, ContentDigestCheck::default(), stack.get(), Empty::new()).await;
    assert_eq!(answer.status, 200);
}

// (217)
#[tokio::test]
async fn streamed_content_that_was_removed_is_refused_before_the_handler() {
    let stack = Stack::new();
    let (answer, _) = send(&stack, ContentDigestCheck::default(), post(&stack, "abcd"), Empty::new()).await;
    assert_refused(&answer, "signature_content_changed");
}

// (238)
#[tokio::test]
async fn trailers_of_streamed_content_are_refused() {
    let role = HeaderMap::from_iter([(HeaderName::from_static("x-role"), HeaderValue::from_static("admin"))]);
    for (trailers, is_valid) in [(role, false), (HeaderMap::new(), true)] {
        let stack = Stack::new();
        let body = chunked(&["ab", "cd"]).with_trailers(async move { Some(Ok(trailers)) });
        let (answer, received) =
            send(&stack, ContentDigestCheck::default(), post(&stack, "abcd"), Box::pin(body)).await;
        assert_eq!(answer.status.as_u16(), if is_valid { 200 } else { 400 });
        assert_eq!(received.error(), (!is_valid).then_some("signature_content_changed"));
    }
}

// (217)
#[tokio::test]
async fn trailers_do_not_hide_changed_streamed_content() {
    let stack = Stack::new();
    let body = chunked(&["ab", "cx"]).with_trailers(async { Some(Ok(HeaderMap::new())) });
    let (answer, _) = send(&stack, ContentDigestCheck::default(), post(&stack, "abcd"), Box::pin(body)).await;
    answer.assert_reason(400, "signature_content_changed");
}

#[tokio::test]
async fn streamed_content_that_is_declared_too_large_does_not_reach_the_handler() {
    let stack = Stack::new();
    let (answer, received) = send(&stack, limited(3), post(&stack, "abcd"), Full::from("abcd")).await;
    answer.assert_reason(413, "body_too_large");
    assert_eq!(received.text(), "");
    let (answer, _) = send(&stack, limited(4), post(&stack, "abcd"), Full::from("abcd")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn streamed_content_that_becomes_too_large_ends_with_an_error() {
    let stack = Stack::new();
    let (answer, received) = send(&stack, limited(3), post(&stack, "abcd"), chunked(&["ab", "cd"])).await;
    answer.assert_reason(413, "body_too_large");
    assert_eq!((received.text().as_str(), received.error()), ("ab", Some("body_too_large")));
}

#[tokio::test(start_paused = true)]
async fn streamed_content_that_does_not_arrive_in_time_ends_with_an_error() {
    let stack = Stack::new();
    let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"ab")))]);
    let body = StreamBody::new(first.chain(stream::pending()));
    let (answer, received) = send(&stack, limited(100), post(&stack, "abcd"), body).await;
    answer.assert_reason(408, "body_timeout");
    assert_eq!((received.text().as_str(), received.error()), ("ab", Some("body_timeout")));
}

#[tokio::test]
async fn streamed_content_that_breaks_off_is_not_confirmed() {
    let stack = Stack::new();
    let broken = io::Error::new(io::ErrorKind::ConnectionReset, "the client has disconnected");
    let body = StreamBody::new(stream::iter([Ok(Frame::data(Bytes::from_static(b"ab"))), Err(broken)]));
    let (answer, received) = send(&stack, ContentDigestCheck::default(), post(&stack, "abcd"), body).await;
    answer.assert_reason(400, "body_incomplete");
    assert_eq!((received.text().as_str(), received.error()), ("ab", Some("another error")));
}

#[tokio::test]
async fn handler_that_responds_before_it_has_read_the_content_is_not_corrected() {
    let stack = Stack::new();
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents(&stack.key));
    let layers = ServiceBuilder::new()
        .layer(ContentDigestCheck::default().danger_stream_content())
        .layer(auth(signatures, &stack.clock));
    let app = layers.service_fn(async |request: Request<StreamedBody<_>>| {
        let first = request.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(first)))
    });
    let request = post(&stack, "abcd").body(chunked(&["ab", "cx"])).unwrap();
    Answer::read(app.oneshot(request).await.unwrap()).await.assert_subject("ab");
}

#[tokio::test]
async fn unsigned_request_streams_through_untouched() {
    let stack = Stack::new();
    let (answer, _) = send(&stack, limited(3), Request::post("/"), Full::from("abcd")).await;
    answer.assert_reason(401, "credential_missing");
    // Without a layer inside, the handler has it.
    let layer = limited(3).danger_stream_content();
    let app = ServiceBuilder::new().layer(layer).service_fn(async |request: Request<StreamedBody<_>>| {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(body)))
    });
    let request = Request::post("/").body(chunked(&["ab", "cdef"])).unwrap();
    Answer::read(app.oneshot(request).await.unwrap()).await.assert_subject("abcdef");
}

#[tokio::test]
async fn refused_stream_gives_back_what_the_inner_service_has_reserved() {
    let stack = Stack::new();
    let mut app = ServiceBuilder::new()
        .layer(limited(3).danger_stream_content())
        .layer(ConcurrencyLimitLayer::new(1))
        .service_fn(async |_: Request<StreamedBody<Full<Bytes>>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
    let mut other = app.clone();
    let request = post(&stack, "abcd").body(Full::<Bytes>::from("abcd")).unwrap();
    let refused = app.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(refused.status(), 413);
    let request = Request::get("/").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(other.ready().await.unwrap().call(request).await.unwrap().status(), 200);
}
