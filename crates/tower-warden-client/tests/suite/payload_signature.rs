//! Requests that are signed, and verified by the server side.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    Environment, Head, ManualClock, UnixTime,
    jwt::{Algorithm, VerifyingKey},
    signature::{
        payload::{PayloadKey, PayloadScheme, PayloadSigner},
        webhook::WebhookVerifier,
    },
};
use tower_warden_client::{
    PrivateKey,
    payload_signature::{MessageId, PayloadSignatureLayer},
};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

type Seen = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

fn secret() -> PayloadKey {
    PayloadKey::standard_webhooks("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
}

fn environment() -> Environment {
    Environment::default().with_clock(ManualClock::at(NOW))
}

fn layer(signer: PayloadSigner) -> PayloadSignatureLayer {
    PayloadSignatureLayer::new(signer).environment(&environment())
}

fn standard() -> PayloadSignatureLayer {
    layer(PayloadSigner::new(PayloadScheme::standard_webhooks(), secret()).unwrap())
}

/// A server that keeps what it receives.
fn server<B>(
    seen: &Seen,
) -> impl Service<Request<B>, Response = Response<()>, Error = Infallible, Future: Send> + Clone + Send + use<B>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Debug,
{
    let seen = Arc::clone(seen);
    service_fn(move |request: Request<B>| {
        let seen = Arc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            seen.lock().unwrap().push((parts.headers, body));
            Ok::<_, Infallible>(Response::new(()))
        }
    })
}

async fn sent(layer: PayloadSignatureLayer, request: Request<Full<Bytes>>) -> (HeaderMap, Bytes) {
    let seen = Seen::default();
    ServiceBuilder::new().layer(layer).service(server(&seen)).oneshot(request).await.unwrap();
    seen.lock().unwrap().remove(0)
}

fn request(body: &'static str) -> Request<Full<Bytes>> {
    Request::post("https://customer.example.com/hooks?a=b").body(Full::from(body)).unwrap()
}

/// Returns whether a receiver accepts the request.
async fn is_accepted(scheme: PayloadScheme, key: PayloadKey, (fields, body): &(HeaderMap, Bytes)) -> bool {
    let verifier = WebhookVerifier::new(scheme, [key]).unwrap().environment(&environment());
    let mut request = Request::post("/hooks?a=b").body(()).unwrap();
    request.headers_mut().extend(fields.clone());
    verifier.verify(&Head::from(&request), body).wait().await.is_ok()
}

#[tokio::test]
async fn a_signed_request_is_accepted_by_its_receiver_and_with_another_body_refused() {
    let (fields, body) = sent(standard(), request("{}")).await;
    assert_eq!((&body, &fields["webhook-timestamp"]), (&Bytes::from("{}"), &"1800000000".parse().unwrap()));
    assert!(!is_accepted(PayloadScheme::standard_webhooks(), secret(), &(fields.clone(), Bytes::from("[]"))).await);
    assert!(is_accepted(PayloadScheme::standard_webhooks(), secret(), &(fields, body)).await);

    let shared = || PayloadKey::secret(b"a secret that both sides have").unwrap();
    let signer = PayloadSigner::new(PayloadScheme::timestamped_request(), shared()).unwrap();
    let sent = sent(layer(signer), request("12")).await;
    assert!(is_accepted(PayloadScheme::timestamped_request(), shared(), &sent).await);
}

#[tokio::test]
async fn a_message_keeps_its_id_and_other_requests_have_ids_of_their_own() {
    let id = async |request| sent(standard(), request).await.0["webhook-id"].to_str().unwrap().to_owned();
    let mut message = request("{}");
    message.extensions_mut().insert(MessageId::new("msg_1"));
    assert_eq!(id(message.clone()).await, "msg_1");
    assert_eq!(id(message).await, "msg_1");
    let (one, other) = (id(request("{}")).await, id(request("{}")).await);
    assert!(one.starts_with("msg_") && one.len() > 20 && one != other, "{one} {other}");
}

#[tokio::test]
async fn fields_that_the_caller_has_set_are_replaced() {
    let mut forged = request("{}");
    for name in ["webhook-id", "webhook-signature", "webhook-timestamp"] {
        forged.headers_mut().append(name, "forged".parse().unwrap());
        forged.headers_mut().append(name, "forged".parse().unwrap());
    }
    let sent = sent(standard(), forged).await;
    assert!(is_accepted(PayloadScheme::standard_webhooks(), secret(), &sent).await);
}

/// A body that a layer can make of bytes.
pub(crate) struct Streamed(BoxBody<Bytes, Infallible>);

impl Streamed {
    pub(crate) fn new(frames: impl futures_util::Stream<Item = Frame<Bytes>> + Send + Sync + 'static) -> Self {
        Self(BoxBody::new(StreamBody::new(frames.map(Ok))))
    }
}

impl From<Bytes> for Streamed {
    fn from(bytes: Bytes) -> Self {
        Self(BoxBody::new(Full::new(bytes)))
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

#[tokio::test]
async fn a_body_of_several_frames_is_signed_as_a_whole() {
    let seen = Seen::default();
    let client = ServiceBuilder::new().layer(standard()).service(server(&seen));
    let frames = ["{", "", "}"].map(|text| Frame::data(Bytes::from(text)));
    let body = Streamed::new(futures_util::stream::iter(frames));
    client.oneshot(Request::post("https://customer.example.com/").body(body).unwrap()).await.unwrap();
    let sent = seen.lock().unwrap().remove(0);
    assert_eq!(sent.1, "{}");
    assert!(is_accepted(PayloadScheme::standard_webhooks(), secret(), &sent).await);
}

#[tokio::test]
async fn a_request_with_trailers_or_a_malformed_id_is_not_sent() {
    let seen = Seen::default();
    let client = ServiceBuilder::new().layer(standard()).service(server(&seen));
    let trailers = HeaderMap::from_iter([("x-checksum".parse().unwrap(), "17".parse().unwrap())]);
    let frames = [Frame::data(Bytes::from("{}")), Frame::trailers(trailers)];
    let body = Streamed::new(futures_util::stream::iter(frames));
    let error = client.oneshot(Request::post("https://customer.example.com/").body(body).unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("no trailers"), "{error}");

    let client = ServiceBuilder::new().layer(standard()).service(server(&seen));
    let mut malformed = request("{}");
    malformed.extensions_mut().insert(MessageId::new("msg.1"));
    assert!(client.oneshot(malformed).await.is_err());
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_sent() {
    let seen = Seen::default();
    let client = ServiceBuilder::new().layer(standard().max_bytes(2)).service(server(&seen));
    client.clone().oneshot(request("{}")).await.unwrap();
    assert!(client.oneshot(request("{ }")).await.is_err());
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_that_is_slow_reserves_nothing_of_the_inner_service() {
    let seen = Seen::default();
    let client = ServiceBuilder::new().layer(standard()).concurrency_limit(1).service(server(&seen));
    let slow = Streamed::new(futures_util::stream::pending());
    let mut first = client.clone();
    let _waiting =
        first.ready().await.unwrap().call(Request::post("https://customer.example.com/").body(slow).unwrap());
    let quick = Streamed::from(Bytes::from("{}"));
    client.oneshot(Request::post("https://customer.example.com/").body(quick).unwrap()).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_ed25519_key_signs_what_its_public_key_verifies_and_other_keys_do_not_sign() {
    let key = PrivateKey::generate(Algorithm::EdDSA).unwrap();
    let public = PayloadKey::ed25519(VerifyingKey::from_jwk(&key.public_jwk()).unwrap()).unwrap();
    let sent = sent(layer(key.payload_signer(PayloadScheme::standard_webhooks()).unwrap()), request("{}")).await;
    assert!(sent.0["webhook-signature"].to_str().unwrap().starts_with("v1a,"));
    assert!(!is_accepted(PayloadScheme::standard_webhooks(), secret(), &sent).await);
    assert!(is_accepted(PayloadScheme::standard_webhooks(), public, &sent).await);
    assert!(key.payload_signer(PayloadScheme::stripe()).is_err());
    let other = PrivateKey::generate(Algorithm::ES256).unwrap();
    assert!(other.payload_signer(PayloadScheme::standard_webhooks()).is_err());
}
