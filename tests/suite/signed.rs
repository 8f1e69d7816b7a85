//! Servers that verify signatures, and requests that a client has signed.

use std::{convert::Infallible, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, Response, request::Builder};
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    AuthMethod, Environment, Identity, ManualClock, Principal,
    body::InspectedBody,
    jwt::Algorithm,
    layer::{AuthLayer, BodyCheckLayer},
    scope::Scopes,
    signature::{ContentDigestCheck, DigestAlgorithm, SignatureKeyMap, SignatureKeys, SignaturePolicy, Signatures},
    testing::SigningKey,
};

use crate::support::{Answer, START};

pub const ORIGIN: &str = "https://api.test";

pub type App = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

/// A server, and a client that it knows as `agent`, whose key has the id `k1`.
pub struct Stack {
    pub app: App,
    pub clock: ManualClock,
    pub key: SigningKey,
}

impl Stack {
    pub fn new() -> Self {
        Self::with(|policy| policy)
    }

    pub fn with(policy: impl FnOnce(SignaturePolicy) -> SignaturePolicy) -> Self {
        Self::of(SigningKey::generate(Algorithm::EdDSA), policy)
    }

    pub fn of(key: SigningKey, policy: impl FnOnce(SignaturePolicy) -> SignaturePolicy) -> Self {
        let (clock, keys) = (ManualClock::at(START), agents(&key));
        let app = app(Signatures::new(policy(SignaturePolicy::new(ORIGIN).unwrap()), keys), &clock);
        Self { app, clock, key }
    }

    /// A good signature of `GET /`.
    pub fn get(&self) -> Builder {
        signed(Request::get("/"), &self.key, &covered("GET", "/"), &parameters(START.as_secs(), "k1"))
    }

    pub async fn send(&self, request: Builder) -> Answer {
        self.send_with(request, "").await
    }

    pub async fn send_with(&self, request: Builder, body: &'static str) -> Answer {
        send(&self.app, request, body).await
    }
}

pub fn agents(key: &SigningKey) -> SignatureKeyMap {
    let mut agent = Identity::new("agent", AuthMethod::Signature);
    agent.scopes = Scopes::parse("billing:read").unwrap();
    SignatureKeyMap::default().with("k1", key.verifying_key(), agent)
}

pub fn auth(signatures: Signatures, clock: &ManualClock) -> AuthLayer {
    AuthLayer::new(signatures).environment(&Environment::default().with_clock(clock.clone()))
}

/// The handler answers with the subject and the body.
pub fn app(signatures: Signatures, clock: &ManualClock) -> App {
    wrapped(auth(signatures, clock))
}

pub fn wrapped(auth: AuthLayer) -> App {
    let handler = service_fn(async |request: Request<InspectedBody<Full<Bytes>>>| {
        let subject = request.extensions().get::<Principal>().map_or("nobody", Principal::subject).to_owned();
        let body = request.into_body().collect().await?.to_bytes();
        Ok::<_, Infallible>(Response::new(Full::from([subject.as_bytes(), b":", &body].concat())))
    });
    let layers = ServiceBuilder::new().layer(BodyCheckLayer::new(ContentDigestCheck::default())).layer(auth);
    BoxCloneSyncService::new(layers.service(handler))
}

pub async fn send<S>(app: &S, request: Builder, body: &'static str) -> Answer
where
    S: Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone,
{
    Answer::read(app.clone().oneshot(request.body(Full::from(body)).unwrap()).await.unwrap()).await
}

/// What a signature covers by default, with the values that the client sees.
pub fn covered(method: &str, path_and_query: &str) -> Vec<(String, String)> {
    vec![pair("@method", method), pair("@target-uri", &format!("{ORIGIN}{path_and_query}"))]
}

pub fn pair(name: &str, value: &str) -> (String, String) {
    (format!("\"{name}\""), value.to_owned())
}

pub fn parameters(created: u64, key_id: &str) -> String {
    format!(";created={created};keyid=\"{key_id}\"")
}

/// The text after the label in `Signature-Input`.
pub fn input(components: &[(String, String)], parameters: &str) -> String {
    let names: Vec<_> = components.iter().map(|(name, _)| &**name).collect();
    format!("({}){parameters}", names.join(" "))
}

/// RFC 9421 §2.5, written once more.
pub fn signature(key: &SigningKey, components: &[(String, String)], parameters: &str) -> String {
    let mut base: String = components.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    base.push_str(&format!("\"@signature-params\": {}", input(components, parameters)));
    format!(":{}:", BASE64_STANDARD.encode(key.sign(base.as_bytes())))
}

/// Adds a signature with the label `sig1`.
pub fn signed(request: Builder, key: &SigningKey, components: &[(String, String)], parameters: &str) -> Builder {
    request
        .header("signature-input", format!("sig1={}", input(components, parameters)))
        .header("signature", format!("sig1={}", signature(key, components, parameters)))
}

/// A signature of some components, with its label and parameters.
#[derive(Clone, Copy)]
pub struct Labelled<'a>(pub &'a str, pub &'a SigningKey, pub &'a [(String, String)], pub &'a str);

/// Adds several signatures, in this order.
pub fn signed_by_all(request: Builder, signatures: &[Labelled<'_>]) -> Builder {
    signatures.iter().fold(request, |request, Labelled(label, key, components, parameters)| {
        request
            .header("signature-input", format!("{label}={}", input(components, parameters)))
            .header("signature", format!("{label}={}", signature(key, components, parameters)))
    })
}

/// A good `POST /orders` with this body.
pub fn post(stack: &Stack, body: &str) -> Builder {
    let digest = DigestAlgorithm::Sha256.content_digest(body.as_bytes());
    let mut components = covered("POST", "/orders");
    components.push(pair("content-digest", digest.to_str().unwrap()));
    let request = Request::post("/orders").header("content-digest", digest);
    signed(request, &stack.key, &components, &parameters(START.as_secs(), "k1"))
}

#[track_caller]
pub fn assert_refused(answer: &Answer, reason: &str) {
    assert_eq!((answer.status.as_u16(), answer.reason), (401, Some(reason)), "{answer:?}");
    assert_eq!(
        answer.header("www-authenticate"),
        Some(
            "Signature realm=\"api\", error=\"invalid_signature\", error_description=\"The signature of the request is \
             invalid, expired or was used before.\""
        )
    );
    assert!(answer.header("accept-signature").is_some());
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Keys from any source.
pub fn app_of(keys: impl SignatureKeys, clock: &ManualClock) -> App {
    app(Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), keys), clock)
}
