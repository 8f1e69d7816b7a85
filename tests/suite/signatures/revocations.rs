//! Revocations and limits of keys that sign requests.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, request::Builder};
use http_body_util::Full;
use tower::{ServiceBuilder, service_fn};
use tower_warden::{
    AuthMethod, Environment, Identity, ManualClock, Principal, UnixTime,
    api_key::NewKey,
    body::InspectedBody,
    jwt::Algorithm,
    layer::{AuthLayer, BodyCheckLayer, RateLimitLayer},
    rate_limit::{Exempt, LimitBy, LocalRateLimiter, Quota},
    revocation::{MemoryRevocationList, Revocation},
    signature::{ContentDigestCheck, SignatureKeyMap, SignaturePolicy, Signatures},
    testing::SigningKey,
};

use crate::{
    signed::{ORIGIN, Stack, agents, auth, covered, parameters, seconds, send, signed, wrapped},
    support::{self, START},
};

/// A server with a revocation list, and a client of the tenant `acme` whose key was issued at this time.
fn revocable(issued_at: Option<UnixTime>) -> (Stack, MemoryRevocationList) {
    let (clock, key) = (ManualClock::at(START), SigningKey::generate(Algorithm::EdDSA));
    let mut agent = Identity::new("agent", AuthMethod::Signature);
    (agent.tenant, agent.issued_at) = (Some("acme".into()), issued_at);
    let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(clock.clone()));
    let keys = SignatureKeyMap::default().with("k1", key.verifying_key(), agent);
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), keys);
    let app = wrapped(auth(signatures, &clock).revocations(list.clone()));
    (Stack { app, clock, key }, list)
}

/// A signature that the client makes, or dates, at this time.
fn created_at(stack: &Stack, at: UnixTime) -> Builder {
    signed(Request::get("/"), &stack.key, &covered("GET", "/"), &parameters(at.as_secs(), "k1"))
}

// (224)
#[tokio::test]
async fn signature_that_is_made_after_the_revocation_of_its_tenant_or_owner_is_refused() {
    for revocation in [Revocation::tenant("acme", START), Revocation::owner("agent", START)] {
        let (stack, list) = revocable(None);
        stack.send(created_at(&stack, START)).await.assert_subject("agent:");
        list.revoke(revocation, None).unwrap();
        stack.send(created_at(&stack, START + seconds(1))).await.assert_reason(401, "revoked");
        stack.clock.advance(seconds(3600));
        stack.send(created_at(&stack, START + seconds(3600))).await.assert_reason(401, "revoked");
    }
}

// (224)
#[tokio::test]
async fn revocation_of_a_key_by_its_id_is_not_that_of_an_api_key_with_this_id() {
    let (stack, list) = revocable(None);
    list.revoke(Revocation::key("k1"), None).unwrap();
    stack.send(created_at(&stack, START)).await.assert_subject("agent:");
    list.revoke(Revocation::signature_key("k1"), None).unwrap();
    stack.send(created_at(&stack, START + seconds(1))).await.assert_reason(401, "revoked");
}

#[tokio::test]
async fn caller_that_signs_is_revoked_by_the_id_of_its_key() {
    let (clock, key) = (ManualClock::at(START), SigningKey::generate(Algorithm::EdDSA));
    let auth = auth(Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), agents(&key)), &clock);
    let handler = service_fn(async |request: Request<InspectedBody<Full<Bytes>>>| {
        let revocation = Revocation::of(Principal::of(request.extensions()).unwrap());
        assert_eq!(revocation, Some(Revocation::signature_key("k1")));
        Ok::<_, Infallible>(Response::new(Full::from("revoked")))
    });
    let layers = ServiceBuilder::new().layer(BodyCheckLayer::new(ContentDigestCheck::default())).layer(auth);
    let request = signed(Request::get("/"), &key, &covered("GET", "/"), &parameters(START.as_secs(), "k1"));
    assert_eq!(&*send(&layers.service(handler), request, "").await.body, "revoked");
}

/// The statuses of two requests with an API key and of two signed ones, by keys with the same id, at a server that admits one
/// request per key and day.
async fn keys_of_one_id(limit: impl FnOnce(RateLimitLayer, &str) -> RateLimitLayer) -> (Vec<u16>, Vec<u16>) {
    let (key, api_keys) = (SigningKey::generate(Algorithm::EdDSA), support::Stack::new());
    let environment = Environment::default().with_clock(api_keys.clock.clone());
    let (record, secret) = api_keys.mint(NewKey::new("alice")).await;
    let id = record.id.as_str();
    let agent = Identity::new("agent", AuthMethod::Signature);
    let keys = SignatureKeyMap::default().with(id, key.verifying_key(), agent);
    let signatures = Signatures::new(SignaturePolicy::new(ORIGIN).unwrap(), keys);
    let layer = RateLimitLayer::new("calls", LocalRateLimiter::default(), LimitBy::key(), Quota::per_day(1));
    let app = ServiceBuilder::new()
        .layer(BodyCheckLayer::new(ContentDigestCheck::default()))
        .layer(AuthLayer::new((signatures, api_keys.keys.clone())).environment(&environment))
        .layer(limit(layer, id))
        .service_fn(async |_: Request<InspectedBody<Full<Bytes>>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
    let (mut with_key, mut with_signature) = (Vec::new(), Vec::new());
    for number in 0..2 {
        let request = Request::get("/").header("x-api-key", secret.expose());
        with_key.push(send(&app, request, "").await.status.as_u16());
        let parameters = parameters(START.as_secs() + number, id);
        let request = signed(Request::get("/"), &key, &covered("GET", "/"), &parameters);
        with_signature.push(send(&app, request, "").await.status.as_u16());
    }
    (with_key, with_signature)
}

#[tokio::test]
async fn key_with_the_id_of_an_api_key_is_counted_by_itself() {
    assert_eq!(keys_of_one_id(|limit, _| limit).await, (vec![200, 429], vec![200, 429]));
}

#[tokio::test]
async fn key_with_the_id_of_an_exempt_api_key_is_not_exempt() {
    let answers = keys_of_one_id(|limit, id| limit.exempt(Exempt::api_key(id))).await;
    assert_eq!(answers, (vec![200, 200], vec![200, 429]));
}

#[tokio::test]
async fn key_that_was_issued_after_the_revocation_of_its_tenant_is_accepted() {
    for (issued_at, is_revoked) in [(START, true), (START + seconds(1), false)] {
        let (stack, list) = revocable(Some(issued_at));
        list.revoke(Revocation::tenant("acme", START), None).unwrap();
        let answer = stack.send(created_at(&stack, START)).await;
        if is_revoked { answer.assert_reason(401, "revoked") } else { answer.assert_subject("agent:") }
    }
}
