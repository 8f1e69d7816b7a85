//! Requests that the layer has signed, at servers that verify them.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::Full;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService};
use tower_warden::{
    AuthMethod, Environment, Eventual, Identity, ManualClock,
    caller::Confirmation,
    jwt::{Algorithm, Issuer, Jwt, VerifyingKey},
    layer::{AuthLayer, BodyCheckLayer},
    signature::{
        ContentDigestCheck, DigestAlgorithm, MessageSigner, SignatureKeyMap, SignaturePolicy, SignatureProof,
        Signatures,
    },
    testing::TestIssuer,
};
use tower_warden_client::{
    PrivateKey, Token, TokenError, TokenLayer, TokenRequest, TokenSource,
    signature::{RequestKey, SignLayer},
};

use crate::{payload_signature::Streamed, support::NOW};

const API: &str = "https://api.example";

type Api = BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

fn api(auth: AuthLayer) -> Api {
    let layers = ServiceBuilder::new().layer(BodyCheckLayer::new(ContentDigestCheck::default())).layer(auth);
    BoxCloneService::new(layers.service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::default()))))
}

fn environment() -> Environment {
    Environment::default().with_clock(ManualClock::at(NOW))
}

fn post(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(format!("{API}{path}")).body(Full::from(body)).unwrap()
}

#[tokio::test]
async fn signed_requests_are_admitted_for_each_algorithm() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::PS512, Algorithm::RS256] {
        let key = PrivateKey::generate(algorithm).unwrap();
        let public = VerifyingKey::from_jwk(&key.public_jwk()).unwrap();
        // Without a `kid`, the id is the thumbprint.
        let id = public.thumbprint().unwrap().to_base64url();
        let keys = SignatureKeyMap::default().with(id, public, Identity::new("agent", AuthMethod::Signature));
        let signatures = Signatures::new(SignaturePolicy::new(API).unwrap(), keys);
        let api = api(AuthLayer::new(signatures).environment(&environment()));
        let signer = MessageSigner::new(RequestKey::new(key).unwrap());
        let client = SignLayer::new(signer).environment(&environment()).layer(api.clone());
        for body in ["", "{}"] {
            assert_eq!(client.clone().oneshot(post("/orders?a=b", body)).await.unwrap().status(), 200, "{algorithm}");
        }
        assert_eq!(api.oneshot(post("/orders", "{}")).await.unwrap().status(), 401);
    }
}

/// A request that came to a gateway with these two fields, is signed by the gateway, and sent to a server that knows its key.
async fn passed_on(input: &str, signature: &str) -> (u16, Vec<String>) {
    let (key, environment) = (PrivateKey::generate(Algorithm::EdDSA).unwrap().with_kid("gateway"), environment());
    let public = VerifyingKey::from_jwk(&key.public_jwk()).unwrap();
    let keys = SignatureKeyMap::default().with("gateway", public, Identity::new("gateway", AuthMethod::Signature));
    let signatures = Signatures::new(SignaturePolicy::new(API).unwrap(), keys);
    let api = api(AuthLayer::new(signatures).environment(&environment));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sent);
    let server = service_fn(move |request: Request<Full<Bytes>>| {
        let lines = request.headers().get_all("signature").iter();
        let labels = lines.map(|line| line.to_str().unwrap().split('=').next().unwrap().to_owned());
        *seen.lock().unwrap() = labels.collect();
        api.clone().oneshot(request)
    });
    let gateway = SignLayer::new(MessageSigner::new(RequestKey::new(key).unwrap())).environment(&environment);
    let mut request = post("/orders", "{}");
    request.headers_mut().insert("signature-input", HeaderValue::from_str(input).unwrap());
    request.headers_mut().insert("signature", HeaderValue::from_str(signature).unwrap());
    let status = gateway.layer(server).oneshot(request).await.unwrap().status().as_u16();
    let labels = sent.lock().unwrap().clone();
    (status, labels)
}

#[tokio::test]
async fn request_that_a_client_has_signed_gets_a_further_signature() {
    let input = "sig1=(\"@method\");created=1;keyid=\"client\"";
    assert_eq!(passed_on(input, "sig1=:AAAA:").await, (200, vec!["sig1".to_owned(), "sig1-2".to_owned()]));
}

#[tokio::test]
async fn signature_of_a_client_is_valid_behind_a_gateway_with_another_digest() {
    let [client, gateway] =
        ["client", "gateway"].map(|id| PrivateKey::generate(Algorithm::EdDSA).unwrap().with_kid(id));
    let public = VerifyingKey::from_jwk(&client.public_jwk()).unwrap();
    let keys = SignatureKeyMap::default().with("client", public, Identity::new("client", AuthMethod::Signature));
    let signatures = Signatures::new(SignaturePolicy::new(API).unwrap(), keys);
    let api = api(AuthLayer::new(signatures).environment(&environment()));
    let sign = |key, digest| {
        let signer = MessageSigner::new(RequestKey::new(key).unwrap()).digest(digest);
        SignLayer::new(signer).environment(&environment())
    };
    let gateway = sign(gateway, DigestAlgorithm::Sha256).layer(api);
    let client = sign(client, DigestAlgorithm::Sha512).layer(gateway);
    assert_eq!(client.oneshot(post("/orders", "{}")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn malformed_signature_of_a_client_is_replaced() {
    assert_eq!(passed_on("sig1=(", "sig1=:AAAA:").await, (200, vec!["sig1".to_owned()]));
}

/// A source of a bound token.
struct Bound(Token);

impl TokenSource for Bound {
    fn token(&self, _request: &TokenRequest<'_>) -> Eventual<Result<Token, TokenError>> {
        Eventual::Now(Ok(self.0.clone()))
    }
}

#[tokio::test]
async fn signature_inside_of_a_token_layer_is_the_proof_of_the_token() {
    let issuer = TestIssuer::new("https://auth.example").environment(&environment());
    let key = PrivateKey::generate(Algorithm::ES256).unwrap();
    let public = VerifyingKey::from_jwk(&key.public_jwk()).unwrap();
    let proof = SignatureProof::new(SignaturePolicy::new(API).unwrap(), [public]).unwrap();
    let jwt = Jwt::new(Issuer::new(issuer.name(), API).unwrap(), issuer.clone());
    let api = api(AuthLayer::new(jwt).environment(&environment()).signature_proof(proof));
    let token = issuer.token("agent").audience(API).confirmation(&Confirmation::key(key.thumbprint())).sign();
    let tokens = || TokenLayer::new(Bound(Token::bearer(&token).unwrap()), API).unwrap();
    let sign = SignLayer::new(MessageSigner::new(RequestKey::new(key).unwrap())).environment(&environment());
    let client = tokens().layer(sign.layer(api.clone()));
    assert_eq!(client.oneshot(post("/orders", "{}")).await.unwrap().status(), 200);
    // Without the signature, the token is of no use.
    assert_eq!(tokens().layer(api).oneshot(post("/orders", "{}")).await.unwrap().status(), 401);
}

#[tokio::test]
async fn request_that_cannot_be_signed_is_not_sent() {
    let sent = Arc::new(AtomicU32::new(0));
    let api = service_fn({
        let sent = Arc::clone(&sent);
        move |_: Request<Full<Bytes>>| {
            sent.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Ok::<_, Infallible>(()))
        }
    });
    let key = RequestKey::new(PrivateKey::generate(Algorithm::EdDSA).unwrap()).unwrap();
    let client = SignLayer::new(MessageSigner::new(key)).max_bytes(3).layer(api);
    assert!(client.clone().oneshot(post("/", "1234")).await.is_err(), "too large");
    assert!(
        client.clone().oneshot(Request::get("/").body(Full::<Bytes>::default()).unwrap()).await.is_err(),
        "no host"
    );
    assert_eq!(sent.load(Ordering::Relaxed), 0);
    client.oneshot(post("/", "123")).await.unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_request_with_trailers_is_not_sent() {
    let signer = MessageSigner::new(RequestKey::new(PrivateKey::generate(Algorithm::ES256).unwrap()).unwrap());
    let inner = service_fn(async |_: Request<Streamed>| -> Result<Response<()>, Infallible> { panic!("it was sent") });
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-checksum"), HeaderValue::from_static("17"))]);
    let frames = [Frame::data(Bytes::from("{}")), Frame::trailers(trailers)];
    let body = Streamed::new(futures_util::stream::iter(frames));
    let request = Request::post(format!("{API}/orders")).body(body).unwrap();
    let error = SignLayer::new(signer).layer(inner).oneshot(request).await.unwrap_err();
    assert!(error.to_string().contains("no trailers"), "{error}");
}
