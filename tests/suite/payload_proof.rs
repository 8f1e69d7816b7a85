//! API keys that are bound to a secret or a public key: accepted with the signature of each request only.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    Clock, Digest, Environment, ManualClock, Principal, Timestamp, Unavailable, UnixTime,
    api_key::{ApiKeys, KeyFormat, MemoryKeyStore, NewKey},
    body::{BodyLimits, InspectedBody},
    caller::Confirmation,
    layer::AuthLayer,
    replay::MemoryReplayGuard,
    signature::{
        bound::{DerivedSecrets, PayloadKeyMap, PayloadKeys, PayloadProof},
        payload::{Payload, PayloadKey, PayloadScheme, PayloadSigner},
    },
};

use crate::{
    support::{Answer, START, seconds},
    webhooks::Switched,
};

const MASTER: &[u8] = b"a master secret of 32 bytes, or more";
const BODY: &str = "amount=12";

type Boxed = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

/// An API with bound keys, and a handler that responds with the subject and the body.
struct Api {
    app: Boxed,
    clock: ManualClock,
    keys: ApiKeys,
}

impl Api {
    fn new(proof: PayloadProof) -> Self {
        Self::with(Some(proof.clone()), Some(proof))
    }

    /// With the proof in the `AuthLayer`, and with the layer that reads bodies.
    fn with(in_auth: Option<PayloadProof>, around: Option<PayloadProof>) -> Self {
        let clock = ManualClock::at(START);
        let environment = Environment::default().with_clock(clock.clone());
        let keys = ApiKeys::builder(MemoryKeyStore::default(), KeyFormat::new("sk_agent").unwrap());
        let keys = keys.environment(&environment).build();
        let mut auth = AuthLayer::new(keys.clone()).environment(&environment);
        if let Some(proof) = in_auth {
            auth = auth.proof(proof.environment(&environment));
        }
        let app = match around {
            Some(proof) => {
                let layer = proof.environment(&environment).body_layer();
                let inner = service_fn(answer::<InspectedBody<Full<Bytes>>>);
                BoxCloneSyncService::new(ServiceBuilder::new().layer(layer).layer(auth).service(inner))
            }
            None => {
                let inner = service_fn(answer::<Full<Bytes>>);
                BoxCloneSyncService::new(ServiceBuilder::new().layer(auth).service(inner))
            }
        };
        Self { app, clock, keys }
    }

    async fn mint(&self, binding: Option<Confirmation>) -> String {
        let mut key = NewKey::new("agent-7");
        if let Some(binding) = binding {
            key = key.confirmation(binding);
        }
        self.keys.mint(key).await.unwrap().1.expose().to_owned()
    }

    async fn send(&self, key: &str, target: &str, fields: &HeaderMap, body: &str) -> Answer {
        let mut request = Request::post(target).header("x-api-key", key).body(Full::from(body.to_owned())).unwrap();
        request.headers_mut().extend(fields.clone());
        Answer::read(self.app.clone().oneshot(request).await.unwrap()).await
    }
}

async fn answer<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: http_body::Body<Data = Bytes, Error = Infallible>,
{
    let caller = request.extensions().get::<Principal>().expect("the layer admits no other request").clone();
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Full::from([caller.subject().as_bytes(), b" ", &body].concat())))
}

fn secrets() -> DerivedSecrets {
    DerivedSecrets::new(MASTER).unwrap()
}

fn proof() -> PayloadProof {
    PayloadProof::new(PayloadScheme::timestamped_request(), secrets()).unwrap()
}

fn signer(key: PayloadKey) -> PayloadSigner {
    PayloadSigner::new(PayloadScheme::timestamped_request(), key).unwrap()
}

fn sign(signer: &PayloadSigner, target: &'static str, time: UnixTime) -> HeaderMap {
    let (uri, time) = (Uri::from_static(target), Timestamp::from_millis(time.as_secs() * 1_000));
    signer.sign(&Payload::new(&Method::POST, &uri, BODY.as_bytes(), time)).unwrap()
}

#[tokio::test]
async fn a_bound_api_key_is_accepted_with_a_signature_once() {
    let api = Api::new(proof());
    let (binding, secret) = secrets().derive("agent-7/2026-11");
    let key = api.mint(Some(binding)).await;
    let fields = sign(&signer(secret.key()), "/transfer?to=9", START);
    api.send(&key, "/transfer?to=9", &fields, BODY).await.assert_subject("agent-7 amount=12");
    // (242)
    api.send(&key, "/transfer?to=9", &fields, BODY).await.assert_reason(401, "payload_replay");
    let again = sign(&signer(secret.key()), "/transfer?to=9", START + seconds(1));
    api.send(&key, "/transfer?to=9", &again, BODY).await.assert_subject("agent-7 amount=12");
}

#[tokio::test]
async fn a_bound_api_key_without_a_signature_is_refused() {
    // (253)
    let api = Api::new(proof());
    let key = api.mint(Some(secrets().derive("agent-7").0)).await;
    api.send(&key, "/", &HeaderMap::new(), BODY).await.assert_reason(401, "proof_missing");
    // A timestamp is no signature.
    let fields = HeaderMap::from_iter([(HeaderName::from_static("x-timestamp"), "1800000000".parse().unwrap())]);
    api.send(&key, "/", &fields, BODY).await.assert_reason(401, "proof_missing");
}

#[tokio::test]
async fn a_layer_without_the_proof_refuses_a_bound_api_key_with_a_valid_signature() {
    // (253)
    let api = Api::with(None, Some(proof()));
    let (binding, secret) = secrets().derive("agent-7");
    let key = api.mint(Some(binding)).await;
    let fields = sign(&signer(secret.key()), "/", START);
    api.send(&key, "/", &fields, BODY).await.assert_reason(401, "proof_missing");
}

#[tokio::test]
async fn a_layer_whose_body_layer_is_missing_responds_with_500() {
    // (253)
    let api = Api::with(Some(proof()), None);
    let (binding, secret) = secrets().derive("agent-7");
    let (bound, bearer) = (api.mint(Some(binding)).await, api.mint(None).await);
    let fields = sign(&signer(secret.key()), "/", START);
    api.send(&bound, "/", &fields, BODY).await.assert_reason(500, "payload_not_read");
    api.send(&bearer, "/", &fields, BODY).await.assert_subject("agent-7 amount=12");
}

#[tokio::test]
async fn a_signature_by_the_secret_of_another_api_key_is_refused() {
    // (253)
    let api = Api::new(proof());
    let key = api.mint(Some(secrets().derive("agent-7").0)).await;
    for secret in [secrets().derive("agent-8").1.key(), PayloadKey::secret(MASTER).unwrap()] {
        let fields = sign(&signer(secret), "/", START);
        api.send(&key, "/", &fields, BODY).await.assert_reason(401, "payload_signature_wrong");
    }
}

#[tokio::test]
async fn an_invalid_api_key_is_refused_as_such_whatever_its_signature() {
    let api = Api::new(proof());
    let fields = sign(&signer(secrets().derive("agent-7").1.key()), "/", START);
    api.send("sk_agent_guess", "/", &fields, BODY).await.assert_invalid("key_length");
}

#[tokio::test]
async fn an_api_key_that_is_not_bound_needs_no_signature_and_a_wrong_one_is_not_its_own() {
    let api = Api::new(proof());
    let key = api.mint(None).await;
    api.send(&key, "/", &HeaderMap::new(), BODY).await.assert_subject("agent-7 amount=12");
    let fields = HeaderMap::from_iter([(HeaderName::from_static("x-signature"), "another scheme".parse().unwrap())]);
    api.send(&key, "/", &fields, BODY).await.assert_subject("agent-7 amount=12");
}

#[tokio::test]
async fn a_signature_of_another_body_route_method_or_time_is_refused() {
    // (240), (241), (254)
    let api = Api::new(proof());
    let (binding, secret) = secrets().derive("agent-7");
    let key = api.mint(Some(binding)).await;
    let signer = signer(secret.key());
    let fields = sign(&signer, "/transfer?to=9", START);
    let wrong = "payload_signature_wrong";
    api.send(&key, "/transfer?to=9", &fields, "amount=90").await.assert_reason(401, wrong);
    api.send(&key, "/transfer?to=8", &fields, BODY).await.assert_reason(401, wrong);
    api.send(&key, "/refund?to=9", &fields, BODY).await.assert_reason(401, wrong);
    let mut put = Request::put("/transfer?to=9").header("x-api-key", &key).body(Full::from(BODY)).unwrap();
    put.headers_mut().extend(fields.clone());
    Answer::read(api.app.clone().oneshot(put).await.unwrap()).await.assert_reason(401, wrong);
    let stale = sign(&signer, "/", START - seconds(301));
    api.send(&key, "/", &stale, BODY).await.assert_reason(401, "payload_stale");
    let future = sign(&signer, "/", START + seconds(61));
    api.send(&key, "/", &future, BODY).await.assert_reason(401, "payload_in_future");
    // Nothing of this has used the signature up.
    api.send(&key, "/transfer?to=9", &fields, BODY).await.assert_subject("agent-7 amount=12");
}

#[tokio::test]
async fn a_malformed_or_repeated_field_is_refused() {
    // (246), (248)
    let api = Api::new(proof());
    let (binding, secret) = secrets().derive("agent-7");
    let key = api.mint(Some(binding)).await;
    let fields = sign(&signer(secret.key()), "/", START);
    let mut twice = fields.clone();
    twice.append("x-signature", fields["x-signature"].clone());
    api.send(&key, "/", &twice, BODY).await.assert_reason(401, "payload_field_repeated");
    let mut malformed = fields.clone();
    malformed.insert("x-signature", "zz".parse().unwrap());
    api.send(&key, "/", &malformed, BODY).await.assert_reason(401, "payload_signature_syntax");
    let mut undated = fields.clone();
    undated.remove("x-timestamp");
    api.send(&key, "/", &undated, BODY).await.assert_reason(401, "payload_timestamp_missing");
}

#[tokio::test]
async fn a_key_that_is_bound_to_a_public_key_is_accepted_with_its_signatures() {
    // (244)
    let pair = Arc::new(Ed25519KeyPair::generate().unwrap());
    let public = format!("whpk_{}", BASE64_STANDARD.encode(pair.public_key().as_ref()));
    let public = PayloadKey::standard_webhooks(&public).unwrap();
    let proof = PayloadProof::new(PayloadScheme::timestamped_request(), PayloadKeyMap::new([public.clone()])).unwrap();
    let api = Api::new(proof);
    let key = api.mint(Some(public.confirmation())).await;
    let sign_with =
        move |message: &[u8]| pair.sign(message).as_ref().try_into().map_err(|_| Unavailable::new("the private key"));
    let signer = PayloadSigner::ed25519(PayloadScheme::timestamped_request(), sign_with).unwrap();
    let fields = sign(&signer, "/", START);
    api.send(&key, "/", &fields, "amount=90").await.assert_reason(401, "payload_signature_wrong");
    api.send(&key, "/", &fields, BODY).await.assert_subject("agent-7 amount=12");
    api.send(&key, "/", &fields, BODY).await.assert_reason(401, "payload_replay");
}

#[tokio::test]
async fn a_binding_whose_key_is_not_known_is_refused() {
    // (253)
    let known = PayloadKey::secret(b"a secret that is known").unwrap();
    let proof = PayloadProof::new(PayloadScheme::timestamped_request(), PayloadKeyMap::new([known.clone()])).unwrap();
    let api = Api::new(proof);
    let key = api.mint(Some(Confirmation::new(PayloadProof::METHOD, Digest::of(b"unknown")))).await;
    let fields = sign(&signer(known.clone()), "/", START);
    api.send(&key, "/", &fields, BODY).await.assert_reason(401, "payload_key_unknown");
    let key = api.mint(Some(known.confirmation())).await;
    api.send(&key, "/", &fields, BODY).await.assert_subject("agent-7 amount=12");
}

#[tokio::test]
async fn secrets_of_the_old_master_secret_are_accepted_until_it_is_removed() {
    // (243)
    let new = DerivedSecrets::new(b"the next master secret, of 32 bytes or more").unwrap();
    let (binding, old_secret) = secrets().derive("agent-7");
    let new_secret = new.derive("agent-7").1;
    assert_ne!(old_secret.expose(), new_secret.expose());
    let both = new.clone().or(MASTER).unwrap();
    assert_eq!(both.derive("agent-7").1.expose(), new_secret.expose());
    for (secrets, accepts_old) in [(both, true), (new, false)] {
        let api = Api::new(PayloadProof::new(PayloadScheme::timestamped_request(), secrets).unwrap());
        let key = api.mint(Some(binding.clone())).await;
        let answer = api.send(&key, "/", &sign(&signer(old_secret.key()), "/", START), BODY).await;
        assert_eq!(answer.status == 200, accepts_old, "{answer:?}");
        // A second later: otherwise it is the same request, with another signature.
        api.send(&key, "/", &sign(&signer(new_secret.key()), "/", START + seconds(1)), BODY)
            .await
            .assert_subject("agent-7 amount=12");
    }
}

/// Keys that are not loaded yet.
struct Loading(Arc<AtomicBool>);

impl PayloadKeys for Loading {
    fn find(&self, thumbprint: &Digest) -> Result<Vec<PayloadKey>, Unavailable> {
        if self.0.load(Ordering::Relaxed) { secrets().find(thumbprint) } else { Err(Unavailable::new("the secrets")) }
    }
}

#[tokio::test]
async fn a_request_that_was_received_before_a_master_secret_was_added_is_a_replay() {
    // (242)
    let guard = Arc::new(MemoryReplayGuard::default());
    let (binding, secret) = secrets().derive("agent-7");
    let fields = sign(&signer(secret.key()), "/", START);
    let rotated = DerivedSecrets::new(b"the next master secret, of 32 bytes or more").unwrap().or(MASTER).unwrap();
    let apis = [secrets(), rotated].map(|secrets| {
        let proof = PayloadProof::new(PayloadScheme::timestamped_request(), secrets).unwrap();
        Api::new(proof.replay_guard(Arc::clone(&guard)))
    });
    let keys = [apis[0].mint(Some(binding.clone())).await, apis[1].mint(Some(binding)).await];
    apis[0].send(&keys[0], "/", &fields, BODY).await.assert_subject("agent-7 amount=12");
    apis[1].send(&keys[1], "/", &fields, BODY).await.assert_reason(401, "payload_replay");
}

#[tokio::test]
async fn keys_or_a_guard_that_are_not_available_are_503() {
    // (245), (253)
    let (is_loaded, guard) = (Arc::new(AtomicBool::new(false)), Switched::default());
    let proof = PayloadProof::new(PayloadScheme::timestamped_request(), Loading(Arc::clone(&is_loaded))).unwrap();
    let api = Api::new(proof.replay_guard(guard.clone()));
    let (binding, secret) = secrets().derive("agent-7");
    let key = api.mint(Some(binding)).await;
    let fields = sign(&signer(secret.key()), "/", START);
    api.send(&key, "/", &fields, BODY).await.assert_unavailable("payload_keys_unavailable");
    is_loaded.store(true, Ordering::Relaxed);
    guard.is_down.store(true, Ordering::Relaxed);
    api.send(&key, "/", &fields, BODY).await.assert_unavailable("payload_replay_unavailable");
    guard.is_down.store(false, Ordering::Relaxed);
    api.send(&key, "/", &fields, BODY).await.assert_subject("agent-7 amount=12");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413() {
    // (251)
    let limits = BodyLimits::new(BODY.len(), seconds(1)).unwrap();
    let api = Api::new(proof().limits(limits));
    let (binding, secret) = secrets().derive("agent-7");
    let key = api.mint(Some(binding)).await;
    let fields = sign(&signer(secret.key()), "/", START);
    api.send(&key, "/", &fields, "amount=120").await.assert_reason(413, "body_too_large");
    api.send(&key, "/", &fields, BODY).await.assert_subject("agent-7 amount=12");
}

#[tokio::test]
async fn the_body_of_an_unsigned_stale_or_malformed_request_is_not_read() {
    // (255)
    let clock = ManualClock::at(START);
    let environment = Environment::default().with_clock(clock.clone());
    let proof = proof().environment(&environment);
    let keys = ApiKeys::new(MemoryKeyStore::default(), KeyFormat::new("sk_agent").unwrap());
    let auth = AuthLayer::new(keys).environment(&environment).proof(proof.clone());
    let app = ServiceBuilder::new()
        .layer(proof.body_layer())
        .layer(auth)
        .service_fn(async |_: Request<_>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let signer = signer(secrets().derive("agent-7").1.key());
    let stale = sign(&signer, "/", clock.now() - seconds(306));
    let mut malformed = sign(&signer, "/", clock.now());
    malformed.insert("x-signature", "zz".parse().unwrap());
    for fields in [HeaderMap::new(), stale, malformed] {
        let body = StreamBody::new(futures_util::stream::poll_fn(
            |_| -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> { panic!("the body is read") },
        ));
        let mut request = Request::post("/").header("x-api-key", "sk_agent_guess").body(body).unwrap();
        request.headers_mut().extend(fields);
        let answer = Answer::read(app.clone().oneshot(request).await.unwrap()).await;
        answer.assert_invalid("key_length");
    }
}

#[test]
fn a_scheme_that_does_not_cover_the_request_is_an_error_at_start() {
    // (254)
    for scheme in [PayloadScheme::timestamped(), PayloadScheme::standard_webhooks(), PayloadScheme::github()] {
        let error = PayloadProof::new(scheme, secrets()).unwrap_err();
        assert!(error.to_string().contains("`danger_body_only` accepts others"), "{error}");
    }
    assert!(PayloadProof::danger_body_only(PayloadScheme::github(), secrets()).is_err(), "no timestamp");
    assert!(PayloadProof::danger_body_only(PayloadScheme::timestamped(), secrets()).is_ok());
}

#[tokio::test]
async fn a_signature_of_the_body_alone_is_accepted_on_request() {
    let scheme = PayloadScheme::timestamped;
    let api = Api::new(PayloadProof::danger_body_only(scheme(), secrets()).unwrap());
    let (binding, secret) = secrets().derive("agent-7");
    let key = api.mint(Some(binding)).await;
    let fields = sign(&PayloadSigner::new(scheme(), secret.key()).unwrap(), "/", api.clock.now());
    api.send(&key, "/", &fields, "amount=90").await.assert_reason(401, "payload_signature_wrong");
    api.send(&key, "/anywhere", &fields, BODY).await.assert_subject("agent-7 amount=12");
}

#[test]
fn secrets_are_not_shown() {
    let (_, secret) = secrets().derive("agent-7");
    let key = secret.key();
    let shown = format!("{:?} {secret:?} {key:?} {:?} {:?}", secrets(), proof(), PayloadKeyMap::new([key.clone()]));
    assert!(!shown.contains(secret.expose()), "{shown}");
    assert!(shown.starts_with("DerivedSecrets(..) DerivedSecret(..) PayloadKey::Secret(..) PayloadProof"), "{shown}");
    assert!(DerivedSecrets::new(&MASTER[..31]).is_err());
}

#[tokio::test]
async fn a_target_without_a_path_is_signed_as_a_server_receives_it() {
    let api = Api::new(proof());
    let (binding, secret) = secrets().derive("agent-7");
    let key = api.mint(Some(binding)).await;
    let fields = sign(&signer(secret.key()), "https://api.example.com?to=9", START);
    api.send(&key, "/?to=9", &fields, BODY).await.assert_subject("agent-7 amount=12");
}

/// The body layer reads its clock before the `AuthLayer` does.
#[tokio::test]
async fn the_body_is_read_if_the_timestamp_is_accepted_a_moment_later() {
    let early = Environment::default().with_clock(ManualClock::at(START - seconds(1)));
    let clock = ManualClock::at(START);
    let environment = Environment::default().with_clock(clock.clone());
    let keys = ApiKeys::builder(MemoryKeyStore::default(), KeyFormat::new("sk_agent").unwrap());
    let keys = keys.environment(&environment).build();
    let layer = proof().environment(&early).body_layer();
    let auth = AuthLayer::new(keys.clone()).environment(&environment).proof(proof());
    let app = ServiceBuilder::new().layer(layer).layer(auth).service(service_fn(answer::<InspectedBody<Full<Bytes>>>));
    let api = Api { app: BoxCloneSyncService::new(app), clock, keys };

    let (binding, secret) = secrets().derive("agent-7");
    let key = api.mint(Some(binding)).await;
    let fields = sign(&signer(secret.key()), "/transfer", START + seconds(60));
    api.send(&key, "/transfer", &fields, BODY).await.assert_subject("agent-7 amount=12");
    let fields = sign(&signer(secret.key()), "/transfer", START + seconds(61));
    api.send(&key, "/transfer", &fields, BODY).await.assert_reason(401, "payload_in_future");
}
