//! What each hot path allocates and how often it asks the store: exact counts, and no time.
#![allow(unsafe_code, reason = "a counting allocator cannot be written without")]
#![allow(clippy::unwrap_used)]

mod counting;

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::Ready,
    sync::Arc,
    time::Duration,
};

use axum::extract::FromRequestParts;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_warden::{
    AuthMethod, Authenticator, Credential, Digest, Environment, Eventual, Head, Identity, ManualClock, Presented,
    Reason, Rejection, RejectionKind, StepUp, Timestamp, UnixTime,
    api_key::{ApiKeys, KeyFormat, NewKey},
    audit::{AuditChannel, AuditLog, AuditSink, Detector, Event, EventKind, Place},
    axum::Scoped,
    body::InspectedBody,
    caller::{Confirmation, SenderConstraint},
    certificate::{CertificateProof, ChainStatus, PeerCertificate},
    introspection::Introspection,
    jwt::{Algorithm, Issuer, Jwt},
    layer::{AuditLayer, AuthLayer, AuthorizeLayer, FailureLimitLayer, RateLimitLayer},
    mcp::McpServer,
    rate_limit::{
        Decision, Exempt, LimitBy, LimitKey, LimitRequest, LocalRateLimiter, Quota, QuotaSet, RateLimitFields,
        RateLimiter,
    },
    request::Peer,
    revocation::{MemoryRevocationList, Revocation, RevocationList},
    scope::{Scopes, scopes},
    signature::{
        MessageSigner, SignatureKeyMap, SignaturePolicy, Signatures,
        payload::{Payload, PayloadKey, PayloadScheme, PayloadSigner},
        webhook::WebhookVerifier,
    },
    testing::{SigningKey, TestIssuer},
};

use self::counting::{Allocator, Endpoint, Store, allocations, at_once, bytes};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// So many requests are sent on each path, because the cache does some housekeeping with some of them.
const REQUESTS: usize = 2_000;

const PREFIX: &str = "sk_agent";

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

scopes! {
    /// Read balances.
    BillingRead = "billing:read";
    /// Charge a card.
    BillingWrite = "billing:write";
}

#[test]
fn a_cached_key_costs_one_allocation() {
    let (keys, key, store) = cached();
    Cost::of(&layer(keys), || request(&key)).is_above(&Cost::bare(), 1);
    assert_eq!(store.finds(), 1);
}

/// A sink that drops what it gets.
struct Nowhere;

impl AuditSink for Nowhere {
    fn record(&self, event: Event, _: Place) {
        drop(event);
    }
}

#[test]
fn the_event_of_a_request_costs_two_allocations() {
    let audit = || AuditLayer::new(AuditLog::new(Nowhere));
    // The trail, and its entry in the extensions. The event itself takes none.
    let request = || request("");
    Cost::of(&audit(), request).is_above(&Cost::bare(), 2);
    let (keys, key, _) = cached();
    let stacked = ServiceBuilder::new().layer(audit()).layer(layer(keys)).into_inner();
    Cost::of(&stacked, || self::request(&key)).is_above(&Cost::bare(), 3);
}

/// A refusal is copied once, for the case that a middleware replaces its response.
#[test]
fn the_event_of_a_refused_request_costs_one_copy_of_the_refusal() {
    let refused = || layer(Everything(Reason::custom("closed")));
    let stacked = ServiceBuilder::new().layer(AuditLayer::new(AuditLog::new(Nowhere))).layer(refused()).into_inner();
    let request = || request_with("x-api-key", "key");
    Cost::of(&stacked, request).is_above(&Cost::of(&refused(), request), 3);
}

#[test]
fn a_cached_introspected_token_costs_one_allocation() {
    let (endpoint, token) = (Endpoint::default(), "2YotnFZFEjr1zCsicMWpAA-2YotnFZFEjr1zCsicMWpAA");
    let issuer = Issuer::new("https://auth.example", "https://api.example").unwrap();
    let introspection = Introspection::builder(issuer, "https://auth.example/introspect", "api", "secret");
    let introspection = introspection.fetch(endpoint.clone()).build().unwrap();
    load(&introspection, Credential::access_token(token));
    Cost::of(&layer(introspection), || request(token)).is_above(&Cost::bare(), 1);
    assert_eq!(endpoint.asked(), 1);
}

#[test]
fn a_cached_key_on_a_request_without_extensions_costs_three_allocations() {
    let (keys, key, _) = cached();
    let request = || {
        let mut request = request(&key);
        *request.extensions_mut() = http::Extensions::new();
        request
    };
    // The map, its table, and the principal.
    Cost::of(&layer(keys), request).is_above(&Cost::bare(), 3);
}

#[test]
fn every_place_for_a_key_costs_the_same() {
    let (keys, key, _) = cached();
    for (name, value) in [("authorization", format!("ApiKey {key}")), ("x-api-key", key)] {
        Cost::of(&layer(keys.clone()), || request_with(name, &value)).is_above(&Cost::bare(), 1);
    }
}

#[test]
fn a_detector_holds_no_more_memory_for_a_million_peers() {
    let (sink, mut events) = AuditChannel::new(1);
    let (keys, _, _) = cached();
    let service = ServiceBuilder::new().layer(AuditLayer::new(AuditLog::new(sink))).layer(layer(keys));
    let service =
        service.service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    drop(at_once(tower::ServiceExt::oneshot(service, request("sk_agent_guess"))));
    let event = events.try_recv().unwrap();

    let detector = Detector::builder(Nowhere).capacity(4_096.try_into().unwrap()).build();
    let flood = |peers: std::ops::Range<u32>| {
        for peer in peers {
            let mut event = event.clone();
            event.time = Timestamp::from_millis(1_800_000_000_000 + u64::from(peer));
            let EventKind::Request(request) = &mut event.kind else { panic!("a request") };
            request.client_address = Some((0x0a00_0000 + peer).to_be_bytes().into());
            detector.record(event, Place::default());
        }
    };
    let ((), first) = bytes(|| flood(0..100_000));
    assert!((100_000..1_000_000).contains(&first), "{first}");
    assert_eq!(bytes(|| flood(100_000..1_000_000)).1, 0);
    assert_eq!(detector.alerts(), []);
}

#[test]
fn a_shared_authenticator_and_one_of_several_cost_nothing_more() {
    let (keys, key, _) = cached();
    let shared: Arc<dyn Authenticator> = Arc::new(keys.clone());
    Cost::of(&layer(shared), || request(&key)).is_above(&Cost::bare(), 1);
    Cost::of(&layer((Nothing, keys)), || request(&key)).is_above(&Cost::bare(), 1);
}

#[test]
fn a_revocation_list_costs_nothing() {
    let (keys, key, _) = cached();
    let token = || Token(Arc::new(token()));
    let empty = MemoryRevocationList::default();
    Cost::of(&layer(keys.clone()).revocations(empty.clone()), || request(&key)).is_above(&Cost::bare(), 1);
    Cost::of(&layer(token()).revocations(empty), || request("token")).is_above(&Cost::bare(), 1);

    let list = MemoryRevocationList::default().environment(&Environment::default().with_clock(ManualClock::at(NOW)));
    let (issuer, until) = ("https://auth.example.com", NOW + Duration::from_secs(3600));
    for other in [
        Revocation::client(issuer, "other", NOW),
        Revocation::key("other"),
        Revocation::session(issuer, "other"),
        // One that names the subject, and what it was given before.
        Revocation::subject(issuer, "alice", UnixTime::default()),
        Revocation::token(issuer, "other"),
    ] {
        list.revoke(other, until).unwrap();
    }
    Cost::of(&layer(keys).revocations(list.clone()), || request(&key)).is_above(&Cost::bare(), 1);
    let shared: Arc<dyn RevocationList> = Arc::new(list.clone());
    Cost::of(&layer(token()).revocations(shared), || request("token")).is_above(&Cost::bare(), 1);

    // What is revoked costs its refusal, which keeps the owner of the credential for the audit event.
    let owner = if cfg!(feature = "audit") { 4 } else { 0 };
    list.revoke(Revocation::token(issuer, "token"), until).unwrap();
    let refused = Cost::of(&layer(Everything(Reason::REVOKED)), || request("token"));
    Cost::of(&layer(token()).revocations(list), || request("token")).is_above(&refused, owner);
}

#[test]
fn a_policy_that_is_met_costs_nothing() {
    let (keys, key, _) = cached();
    let authentication = Cost::of(&layer(keys.clone()), || request(&key));
    for policy in [
        AuthorizeLayer::all_of([BillingRead::SCOPE, BillingWrite::SCOPE]),
        AuthorizeLayer::any_of([BillingWrite::SCOPE]),
        AuthorizeLayer::scoped::<BillingRead>(),
        AuthorizeLayer::when(|caller, head| caller.subject() == "alice" && head.method.is_safe()),
    ] {
        let stack = ServiceBuilder::new().layer(layer(keys.clone())).layer(policy).into_inner();
        Cost::of(&stack, || request(&key)).is_above(&authentication, 0);
    }
}

#[test]
fn a_user_who_has_authenticated_well_enough_costs_nothing() {
    let token = || Token(Arc::new(token()));
    let needed = StepUp::acr_values(["gold", "urn:example:mfa"]).unwrap().max_age(Duration::from_secs(300));
    let stack = ServiceBuilder::new().layer(layer(token())).layer(AuthorizeLayer::step_up(needed)).into_inner();
    let authentication = Cost::of(&layer(token()), || request("token"));
    Cost::of(&stack, || request("token")).is_above(&authentication, 0);
}

#[test]
fn an_extractor_costs_nothing() {
    let (keys, key, _) = cached();
    let handler = service_fn(|request: Request<()>| {
        let (mut parts, ()) = request.into_parts();
        let (caller, cost) = allocations(|| at_once(Scoped::<BillingRead>::from_request_parts(&mut parts, &())));
        assert_eq!((caller.unwrap().subject(), cost), ("alice", 0));
        bare(parts)
    });
    let mut service = layer(keys).layer(handler);
    assert_eq!(call(&mut service, request(&key)).status(), 200);
}

/// All layers around a handler, and its extractor.
#[test]
fn the_whole_stack_with_audit_to_a_channel_costs_eight_allocations() {
    let (keys, key, _) = cached();
    let limiter = LocalRateLimiter::bounded(1_000);
    let limit = |name: &str, by| RateLimitLayer::new(name, limiter.clone(), by, Quota::per_second(1_000_000));
    let (sink, events) = AuditChannel::new(1);
    let stack = ServiceBuilder::new()
        .layer(AuditLayer::new(AuditLog::new(sink.clone())))
        .layer(limit("peers", LimitBy::peer()))
        .layer(layer(keys))
        .layer(limit("callers", LimitBy::principal()))
        .layer(AuthorizeLayer::all_of([BillingRead::SCOPE]))
        .layer(tower::layer::layer_fn(|_: Bare| service_fn(scoped)))
        .into_inner();
    let (events, recorded) = (RefCell::new(events), Cell::new(0));
    let receive = || recorded.set(recorded.get() + usize::from(events.borrow_mut().try_recv().is_some()));
    let request = || {
        receive();
        request(&key)
    };
    Cost::of(&stack, request).is_above(&Cost::bare(), 8);
    receive();
    assert_eq!((recorded.get(), sink.lost()), (REQUESTS, 0));
}

#[test]
fn a_request_without_a_credential_costs_one_allocation_under_an_optional_layer() {
    let (keys, ..) = cached();
    Cost::of(&layer(keys).optional(), || request_with("accept", "*/*")).is_above(&Cost::bare(), 1);
}

#[test]
fn a_local_rate_limit_costs_its_fields_and_nothing_without_them() {
    let limiter = LocalRateLimiter::bounded(1_000);
    let layer = || RateLimitLayer::new("peers", limiter.clone(), LimitBy::peer(), Quota::per_second(1_000_000));
    // Its value, and the response's first field: the table and the list of the map.
    Cost::of(&layer(), || request("")).is_above(&Cost::bare(), 3);
    Cost::of(&layer().fields(RateLimitFields::Silent), || request("")).is_above(&Cost::bare(), 0);
}

#[test]
fn a_local_rate_limiter_holds_no_more_memory_than_its_bound_allows() {
    let (limiter, quotas) = (LocalRateLimiter::bounded(10_000), QuotaSet::from(Quota::per_day(1_000)));
    let flood = |addresses: std::ops::Range<u32>| {
        for address in addresses {
            let mut key = LimitKey::of_limit("peers");
            key.push("ipv4", address.to_be_bytes());
            let decision = limiter.take(&LimitRequest::new(&key, &quotas));
            assert!(matches!(decision, Eventual::Now(Ok(Decision::Admitted(_)))));
        }
    };
    let ((), first) = bytes(|| flood(0..100_000));
    assert!((24 * 9_000..25 * 10_000).contains(&first), "{first}");
    assert_eq!(bytes(|| flood(100_000..1_000_000)).1, 0);
}

#[test]
fn a_limit_by_principal_and_tier_costs_no_more_than_one_by_peer() {
    let (keys, key, _) = cached();
    let limit = RateLimitLayer::new(
        "calls",
        LocalRateLimiter::bounded(1_000),
        LimitBy::principal(),
        Quota::per_second(1_000_000),
    );
    let limit = limit.tier("pro", Quota::per_day(1_000_000)).cost(|_| 3).exempt(Exempt::path("/health"));
    let authentication = Cost::of(&layer(keys.clone()), || request(&key));
    let stack = ServiceBuilder::new().layer(layer(keys)).layer(limit).into_inner();
    Cost::of(&stack, || request(&key)).is_above(&authentication, 3);
}

#[test]
fn a_failure_limit_costs_nothing_as_long_as_nothing_fails() {
    let (keys, key, _) = cached();
    let limit =
        FailureLimitLayer::new("failures", LocalRateLimiter::bounded(1_000), LimitBy::peer(), Quota::per_minute(10));
    let authentication = Cost::of(&layer(keys.clone()), || request(&key));
    let stack = ServiceBuilder::new().layer(limit).layer(layer(keys)).into_inner();
    Cost::of(&stack, || request(&key)).is_above(&authentication, 0);
}

/// What cannot be a key is refused at the price of the refusal itself: that of an authenticator which refuses whatever
/// it is shown.
#[test]
fn what_cannot_be_a_key_costs_its_refusal_and_no_question() {
    let (keys, key, store) = cached();
    let (other, last) = key.split_at(key.len() - 1);
    let mistyped = format!("{other}{}", if last == "0" { "1" } else { "0" });
    let cut_off = &key[..key.len() - 1];
    let strange = key.replace(PREFIX, "sk_other");

    for (bad, reason) in [(&*mistyped, "key_checksum"), (cut_off, "key_length")] {
        let request = || request_with("x-api-key", bad);
        Cost::of(&layer(keys.clone()), request)
            .is_above(&Cost::of(&layer(Everything(Reason::custom(reason))), request), 0);
        let response = call(&mut layer(keys.clone()).layer(service_fn(bare)), request());
        assert_eq!(response.extensions().get().map(|rejection: &Rejection| rejection.reason().as_str()), Some(reason));
    }
    // A key with a foreign prefix is none of this authenticator's.
    for strange in [request(&strange), request_with("x-api-key", &strange)] {
        let request = || strange.clone();
        Cost::of(&layer(keys.clone()), request).is_above(&Cost::of(&layer(Nothing), request), 0);
    }
    assert_eq!(store.finds(), 1, "only the good key was looked up");
}

#[test]
fn an_unknown_key_costs_its_refusal_and_one_question() {
    let (keys, _, store) = cached();
    let unknown = KeyFormat::new(PREFIX).unwrap().generate().unwrap();
    load(&keys, Credential::api_key(unknown.expose()));
    assert_eq!(store.finds(), 2);

    let request = || request(unknown.expose());
    Cost::of(&layer(keys), request).is_above(&Cost::of(&layer(Everything(Reason::KEY_UNKNOWN)), request), 0);
    assert_eq!(store.finds(), 2, "what is known to be unknown is not asked for");
}

#[test]
fn a_cold_key_with_ten_thousand_requests_at_once_costs_one_question() {
    let store = Store::slow(Duration::from_secs(1));
    let keys = ApiKeys::new(store.clone(), KeyFormat::new(PREFIX).unwrap());
    // A second passes only when every request waits.
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (_, key) = keys.mint(NewKey::new("alice")).await.unwrap();
        let mut service = AuthLayer::new(keys).layer(service_fn(bare));
        let requests = std::iter::repeat_with(|| service.call(request(key.expose())));
        for response in join_all(requests.take(10_000)).await {
            assert_eq!(response.unwrap().status(), 200);
        }
    });
    assert_eq!(store.finds(), 1);
}

#[test]
fn a_cached_token_costs_one_allocation() {
    let issuer =
        TestIssuer::new("https://issuer.test").environment(&Environment::default().with_clock(ManualClock::at(NOW)));
    let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.test").unwrap(), issuer.clone());
    let token = issuer.token("alice").audience("https://api.test").claim("filler", "x".repeat(500)).sign();
    Cost::of(&layer(jwt.clone()), || request(&token)).is_above(&Cost::bare(), 1);
    let (keys, ..) = cached();
    Cost::of(&layer((jwt, keys)), || request(&token)).is_above(&Cost::bare(), 1);
    assert_eq!(issuer.fetches(), 1, "it was verified once");
}

/// Besides the principal, the watch in the extensions; a body of one piece needs no timer.
#[test]
fn a_guard_of_streams_costs_one_allocation() {
    let (keys, key, _) = cached();
    let auth = layer(keys);
    let guarded = ServiceBuilder::new().layer(auth.clone()).layer(auth.stream_guard()).into_inner();
    Cost::of(&guarded, || request(&key)).is_above(&Cost::bare(), 2);
}

/// What is read of the signature, its base, and the identity with the signature that is to be recorded.
#[test]
fn a_signed_request_costs_allocations_that_do_not_depend_on_what_it_covers() {
    let key = SigningKey::named(Algorithm::EdDSA, "agent-7");
    let agent = Identity::new("agent", AuthMethod::Signature);
    let keys = SignatureKeyMap::default().with("agent-7", key.verifying_key(), agent);
    // What a guard allocates is its own, and the content is the matter of another layer.
    let policy = SignaturePolicy::new("https://api.test").unwrap().danger_accept_replays();
    let layer = layer(Signatures::new(policy.danger_accept_unsigned_content(), keys));
    let signer = MessageSigner::new(key);
    for components in [&["@method", "@target-uri"][..], &["@method", "@target-uri", "date", "accept"]] {
        let signer = signer.clone().components(components.iter().copied()).unwrap();
        let request = Request::get("https://api.test/orders?item=7").header("date", "Tue, 20 Apr 2021 02:07:55 GMT");
        let peer = Peer::new("192.0.2.1:4711".parse().unwrap());
        let (mut parts, ()) = request.header("accept", "text/html").extension(peer).body(()).unwrap().into_parts();
        signer.sign_request(&mut parts, b"", NOW).unwrap();
        let request = || Request::from_parts(parts.clone(), ());
        let service: Bare = service_fn(bare);
        assert_eq!(call(&mut layer.layer(service), request()).status(), 200);
        Cost::of(&layer, request).is_above(&Cost::bare(), 13);
    }
}

/// The verified delivery.
#[test]
fn a_webhook_costs_no_allocation_but_for_its_id() {
    let key = || PayloadKey::secret(b"twenty-four random bytes").unwrap();
    let body = Bytes::from_static(br#"{"amount": 12}"#);
    for (scheme, count) in [(PayloadScheme::timestamped(), 0), (PayloadScheme::standard_webhooks(), 1)] {
        let verifier = WebhookVerifier::new(scheme.clone(), [key()]).unwrap().danger_without_replay_protection();
        let verifier = verifier.environment(&Environment::default().with_clock(ManualClock::at(NOW)));
        let (uri, time) = (http::Uri::from_static("/hooks"), Timestamp::from_millis(NOW.as_secs() * 1_000));
        let payload = Payload::new(&http::Method::POST, &uri, &body, time).id("msg_p5jXN8AQM9LWM0D4loKWxJek");
        let mut request = Request::post("/hooks").body(()).unwrap();
        request.headers_mut().extend(PayloadSigner::new(scheme, key()).unwrap().sign(&payload).unwrap());
        let (verdict, counted) = allocations(|| at_once(verifier.verify(&Head::from(&request), &body).wait()));
        assert_eq!((verdict.unwrap().body(), counted), (&body, count));
    }
}

#[test]
fn a_call_through_the_guard_of_an_mcp_server_costs_as_much_whatever_its_arguments_are() {
    let (keys, key, _) = cached();
    let server = McpServer::new("https://mcp.example.com/mcp").unwrap();
    let server = server.require(BillingRead::SCOPE).tool("search", BillingRead::SCOPE);
    let auth = layer(keys);
    let mut without = auth.layer(auth.stream_guard().layer(service_fn(bare::<Request<Full<Bytes>>>)));
    let mut guarded = server.protect_with(auth).layer(service_fn(bare::<Request<InspectedBody<Full<Bytes>>>>));
    for values in [1, 1_000] {
        let filters = vec![r#"{"field":"name","equals":7}"#; values].join(",");
        let params = format!(r#"{{"name":"search","arguments":{{"filters":[{filters}]}}}}"#);
        let message = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#);
        let message = Bytes::from(message);
        let request = || {
            let mut request = request(&key).map(|()| Full::new(message.clone()));
            *request.method_mut() = http::Method::POST;
            request.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
            request
        };
        let mut of_guard = [0; REQUESTS];
        for count in &mut of_guard {
            let (one, other) = (request(), request());
            let without = allocations(|| assert_eq!(call(&mut without, one).status(), 200)).1;
            *count = allocations(|| assert_eq!(call(&mut guarded, other).status(), 200)).1 - without;
        }
        of_guard.sort_unstable();
        // For the judgement: the members of two objects, and the names. For the server: the name of the tool, and the
        // extensions (a map and its table) with it and the caller, for which the table of the request's extensions grows.
        assert_eq!(of_guard[REQUESTS / 2], 9, "{values}");
    }
}

#[test]
fn a_token_that_is_none_costs_its_refusal() {
    let issuer = TestIssuer::new("https://issuer.test");
    let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.test").unwrap(), issuer.clone());
    for strange in ["opaque", "one.two", "one.two.three.four.five"] {
        let request = || request(strange);
        Cost::of(&layer(jwt.clone()), request).is_above(&Cost::of(&layer(Nothing), request), 0);
    }
}

#[test]
fn what_a_cached_token_is_bound_to_costs_nothing() {
    let issuer =
        TestIssuer::new("https://issuer.test").environment(&Environment::default().with_clock(ManualClock::at(NOW)));
    let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.test").unwrap(), issuer.clone());
    let thumbprint = Digest::of(b"a certificate");
    let token = issuer.token("alice").audience("https://api.test");
    let token = token.confirmation(&Confirmation::certificate(thumbprint)).sign();
    let certificate = PeerCertificate::from_thumbprint(thumbprint, ChainStatus::Verified);
    let connected = |token: &str| {
        let mut request = request(token);
        request.extensions_mut().insert(certificate.clone());
        request
    };
    let bare = Cost::of(&tower::layer::util::Identity::new(), || connected(""));
    let layer = |jwt| layer(jwt).proof(CertificateProof);
    Cost::of(&layer(jwt.clone()), || connected(&token)).is_above(&bare, 1);
    Cost::of(&layer(jwt).sender_constrained(SenderConstraint::Certificate), || connected(&token)).is_above(&bare, 1);
}

/// How often a request allocates.
struct Cost {
    least: u64,
    median: u64,
    mean: f64,
}

impl Cost {
    /// What a service costs under `layer`, in the call and until the response is there.
    fn of<L>(layer: &L, request: impl Fn() -> Request<()>) -> Self
    where
        L: Layer<Bare>,
        L::Service: Service<Request<()>, Error = Infallible>,
    {
        let bare: Bare = service_fn(bare);
        let mut service = layer.layer(bare);
        let mut counts = [0; REQUESTS];
        for count in &mut counts {
            let request = request();
            *count = allocations(|| drop(call(&mut service, request))).1;
        }
        counts.sort_unstable();
        let mean = counts.iter().sum::<u64>() as f64 / REQUESTS as f64;
        Self { least: counts[0], median: counts[REQUESTS / 2], mean }
    }

    /// What the service costs without a layer.
    fn bare() -> Self {
        Self::of(&tower::layer::util::Identity::new(), || request(""))
    }

    /// Asserts by how many allocations this is dearer; a tenth of one is left to the cache's housekeeping.
    #[track_caller]
    fn is_above(&self, floor: &Self, allocations: u64) {
        assert_eq!((self.least - floor.least, self.median - floor.median), (allocations, allocations));
        let mean = self.mean - floor.mean;
        assert!(mean <= allocations as f64 + 0.1, "{mean} on the mean, not {allocations}");
    }
}

type Bare = tower::util::ServiceFn<fn(Request<()>) -> Ready<Result<Response<Full<Bytes>>, Infallible>>>;

fn bare<T>(_: T) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    std::future::ready(Ok(Response::new(Full::default())))
}

/// A handler of callers with a scope.
fn scoped(request: Request<()>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let (mut parts, ()) = request.into_parts();
    let caller = at_once(Scoped::<BillingRead>::from_request_parts(&mut parts, &())).unwrap();
    bare((parts, caller))
}

fn call<S, B>(service: &mut S, request: Request<B>) -> S::Response
where
    S: Service<Request<B>, Error = Infallible>,
{
    at_once(std::future::poll_fn(|context| service.poll_ready(context))).unwrap();
    at_once(service.call(request)).unwrap()
}

/// A request that has extensions already, as behind every server that tells the peer's address.
fn request(key: &str) -> Request<()> {
    request_with("authorization", &format!("Bearer {key}"))
}

fn request_with(name: &str, value: &str) -> Request<()> {
    let peer = Peer::new("192.0.2.1:4711".parse().unwrap());
    Request::builder().header(name, value).extension(peer).body(()).unwrap()
}

fn layer(authenticator: impl Authenticator) -> AuthLayer {
    AuthLayer::new(authenticator).environment(&Environment::default().with_clock(ManualClock::at(NOW)))
}

/// A key that is in the cache, and the store that was asked for it once.
fn cached() -> (ApiKeys, String, Store) {
    let store = Store::default();
    let keys = ApiKeys::builder(store.clone(), KeyFormat::new(PREFIX).unwrap())
        .environment(&Environment::default().with_clock(ManualClock::at(NOW)))
        .build();
    let key = NewKey::new("alice").scopes(Scopes::parse("billing:read billing:write").unwrap());
    let (_, key) = runtime().block_on(keys.mint(key)).unwrap();
    load(&keys, Credential::api_key(key.expose()));
    (keys, key.expose().to_owned(), store)
}

/// Has a credential looked up.
fn load(authenticator: &impl Authenticator, credential: Credential<'_>) {
    let request = Request::new(());
    let presented = Presented::new(credential, Head::from(&request), NOW);
    let _ = runtime().block_on(authenticator.authenticate(&presented).wait());
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// Refuses whatever it is shown, for this reason, without a look at it.
struct Everything(Reason);

impl Authenticator for Everything {
    fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
        vec![Arc::new(tower_warden::scheme::ApiKeyHeader::default()), Arc::new(tower_warden::scheme::Bearer::default())]
    }

    fn accepts(&self, _: &Credential<'_>) -> bool {
        true
    }

    fn authenticate(&self, _: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, self.0)))
    }
}

/// A token that says all that a list or a policy may ask for.
fn token() -> Identity {
    let mut token = Identity::new("alice", AuthMethod::Jwt);
    token.issuer = Some("https://auth.example.com".into());
    token.acr = Some("urn:example:mfa".into());
    token.auth_time = Some(NOW);
    token.client_id = Some("agent".into());
    token.issued_at = Some(NOW);
    token.session_id = Some("session".into());
    token.token_id = Some("token".into());
    token
}

/// Knows one identity, whatever it is shown.
struct Token(Arc<Identity>);

impl Authenticator for Token {
    fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
        vec![Arc::new(tower_warden::scheme::Bearer::default())]
    }

    fn accepts(&self, _: &Credential<'_>) -> bool {
        true
    }

    fn authenticate(&self, _: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        Eventual::Now(Ok(Arc::clone(&self.0)))
    }
}

/// Verifies credentials of no kind.
struct Nothing;

impl Authenticator for Nothing {
    fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
        vec![Arc::new(tower_warden::scheme::ApiKeyHeader::default()), Arc::new(tower_warden::scheme::Bearer::default())]
    }

    fn accepts(&self, _: &Credential<'_>) -> bool {
        false
    }

    fn authenticate(&self, _: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        unreachable!("it accepts nothing")
    }
}
