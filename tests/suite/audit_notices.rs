//! Events that are not requests, and what verifiers note about requests.

use std::{
    error::Error as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request};
use http_body_util::Full;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_warden::{
    Environment, Eventual, ManualClock, Unavailable,
    api_key::{
        ApiKeys, KeyDigest, KeyError, KeyErrorKind, KeyFormat, KeyId, KeyRecord, KeyStore, KeyUpdate, MemoryKeyStore,
        NewKey,
    },
    audit::{
        AuditChannel, AuditLog, ChangeOutcome, Counted, EventKind, EventReceiver, KeyAction, Notice, Observation,
        RequestEvent,
    },
    authorize::{RoleDirectory, RoleQuery},
    fetch::Fetch,
    introspection::Introspection,
    jwt::{Algorithm, Issuer, IssuerResolver, Jwt, KeyRequest, KeySource, RemoteKeys, TrustedIssuer, VerifyingKey},
    layer::{AuditLayer, AuthLayer, RateLimitLayer, RoleLayer},
    rate_limit::{
        DecidedBy, Decision, LimitBy, LimitExceeded, LimitRequest, LimitStatus, LocalRateLimiter, Quota, RateLimiter,
    },
    revocation::{MemoryRevocationList, Revocation, RevocationError, RevocationErrorKind, RevocationList},
    scope::Scopes,
    testing::{TestIssuer, assert_protected},
};

use crate::{
    endpoint::{self, Endpoint},
    forwarding::forward_to_inner,
    support::{Mode, START, Stack, answer, bearer, unknown_key},
};

fn observed() -> (Environment, AuditLog, EventReceiver) {
    let (sink, events) = AuditChannel::new(100);
    let log = AuditLog::new(sink);
    let environment = Environment::default().with_clock(ManualClock::at(START)).with_observer(log.clone());
    (environment, log, events)
}

/// The notices so far; requests are left out.
fn notices(events: &mut EventReceiver) -> Vec<Notice> {
    let kinds = std::iter::from_fn(|| events.try_recv()).map(|event| event.kind);
    kinds.filter_map(|kind| if let EventKind::Notice(notice) = kind { Some(notice) } else { None }).collect()
}

fn request(events: &mut EventReceiver) -> RequestEvent {
    let kinds = std::iter::from_fn(|| events.try_recv()).map(|event| event.kind);
    let mut requests = kinds.filter_map(|kind| if let EventKind::Request(it) = kind { Some(it) } else { None });
    requests.next().expect("a request")
}

#[tokio::test]
async fn each_change_of_a_key_is_a_notice() {
    let (environment, _log, mut events) = observed();
    let format = KeyFormat::new("sk_agent").unwrap();
    let keys = ApiKeys::builder(MemoryKeyStore::default(), format).environment(&environment).build();
    let changed = |events: &mut EventReceiver, id: &str| {
        let notices = notices(events);
        let [Notice::Key { action, id: noted, outcome: ChangeOutcome::Done, owner, tenant }] = &notices[..] else {
            panic!("{notices:?}")
        };
        assert_eq!(&**noted, id);
        (*action, owner.as_deref().map(str::to_owned), tenant.as_deref().map(str::to_owned))
    };
    let owned = |action| (action, Some("alice".to_owned()), Some("acme".to_owned()));
    let (record, secret) = keys.mint(NewKey::new("alice").tenant("acme")).await.unwrap();
    assert_eq!(changed(&mut events, record.id.as_str()), owned(KeyAction::Minted));
    keys.update(&record.id, KeyUpdate::default().scopes("a")).await.unwrap();
    assert_eq!(changed(&mut events, record.id.as_str()), owned(KeyAction::Updated));
    keys.rotate(&record.id, Duration::ZERO).await.unwrap();
    assert_eq!(changed(&mut events, record.id.as_str()), owned(KeyAction::Rotated));
    keys.revoke(&record.id).await.unwrap();
    assert_eq!(changed(&mut events, record.id.as_str()).0, KeyAction::Revoked);
    keys.purge(&record.id).await.unwrap();
    assert_eq!(changed(&mut events, record.id.as_str()).0, KeyAction::Purged);
    keys.revoke(&record.id).await.unwrap_err();
    assert!(notices(&mut events).is_empty(), "nothing was changed");
    drop(secret);
}

/// What a notice says of a change: its kind and its outcome.
fn changes(events: &mut EventReceiver) -> Vec<(KeyAction, ChangeOutcome)> {
    let changes = notices(events).into_iter().map(|notice| match notice {
        Notice::Key { action, outcome, .. } => (action, outcome),
        other => panic!("{other:?}"),
    });
    changes.collect()
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_outcome_is_unknown_is_a_notice() {
    let (environment, _log, mut events) = observed();
    let stack = Stack::with(|keys| keys.environment(&environment), |layer| layer);
    let (keys, (record, _)) = (&stack.keys, stack.alice().await);
    assert_eq!(changes(&mut events), [(KeyAction::Minted, ChangeOutcome::Done)]);

    // Without an answer until the time-out, or until the future is dropped; and with an error.
    stack.store.set(Mode::Hang);
    keys.revoke(&record.id).await.unwrap_err();
    assert_eq!(changes(&mut events), [(KeyAction::Revoked, ChangeOutcome::Unknown)]);
    assert!(keys.mint(NewKey::new("alice")).now_or_never().is_none());
    assert_eq!(changes(&mut events), [(KeyAction::Minted, ChangeOutcome::Unknown)]);
    assert!(keys.revoke(&record.id).now_or_never().is_none());
    assert_eq!(changes(&mut events), [(KeyAction::Revoked, ChangeOutcome::Unknown)]);
    drop(keys.revoke(&record.id));
    assert_eq!(changes(&mut events), [], "the store was not called");
    stack.store.set(Mode::Fail);
    keys.revoke(&record.id).await.unwrap_err();
    assert_eq!(changes(&mut events), [(KeyAction::Revoked, ChangeOutcome::Unknown)]);
    stack.store.set(Mode::Answer);
    keys.purge(&record.id).await.unwrap_err();
    assert_eq!(changes(&mut events), [], "the change was certainly not made");
}

/// A store that fails after an update.
#[derive(Default)]
struct FailsLater {
    inner: MemoryKeyStore,
    is_updated: AtomicBool,
}

impl KeyStore for FailsLater {
    forward_to_inner!(find insert revoke rotate append list touch);

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        if self.is_updated.load(Ordering::Relaxed) {
            return Eventual::Now(Err(Unavailable::new("the store")));
        }
        self.inner.get(id)
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        self.is_updated.store(true, Ordering::Relaxed);
        self.inner.update(id, update)
    }
}

#[tokio::test]
async fn a_change_is_a_notice_although_its_record_cannot_be_read_afterwards() {
    let (environment, _log, mut events) = observed();
    let keys = ApiKeys::builder(FailsLater::default(), KeyFormat::new("sk_agent").unwrap());
    let keys = keys.environment(&environment).build();
    let (record, _) = keys.mint(NewKey::new("alice")).await.unwrap();
    keys.update(&record.id, KeyUpdate::default().name("new")).await.unwrap_err();
    let expected = [KeyAction::Minted, KeyAction::Updated].map(|action| (action, ChangeOutcome::Done));
    assert_eq!(changes(&mut events), expected);
}

#[tokio::test]
async fn each_imported_key_is_a_notice() {
    let (environment, _log, mut events) = observed();
    let keys = ApiKeys::builder(MemoryKeyStore::default(), KeyFormat::new("sk_agent").unwrap());
    let keys = keys.tenant("acme").environment(&environment).build();
    let line = |id: &str, tenant: &str| {
        let digest = KeyDigest::sha256(id);
        format!(r#"{{"id":"{id}","digest":"{digest}","owner":"carol","tenant":"{tenant}","created_at":1700000000}}"#)
    };
    let lines = [line("old-1", "acme"), String::new(), line("old-2", "acme")].join("\n");
    for (added, skipped) in [(2, 0), (0, 2)] {
        let summary = keys.import(&mut lines.as_bytes()).await.unwrap();
        assert_eq!((summary.added, summary.skipped), (added, skipped));
        let expected = ["old-1", "old-2"].map(|id| Notice::Key {
            action: KeyAction::Imported,
            id: id.into(),
            outcome: ChangeOutcome::Done,
            owner: Some("carol".into()),
            tenant: Some("acme".into()),
        });
        assert_eq!(notices(&mut events), expected[..usize::try_from(added).unwrap()]);
    }
    let lines = [line("old-3", "acme"), line("old-4", "globex")].join("\n");
    let refused = keys.import(&mut lines.as_bytes()).await.unwrap_err();
    assert_eq!(refused.kind(), KeyErrorKind::Invalid);
    assert!(refused.source().unwrap().to_string().starts_with("line 2:"), "{:?}", refused.source());
    assert_eq!(changes(&mut events), [(KeyAction::Imported, ChangeOutcome::Done)]);
}

#[test]
fn a_revocation_is_a_notice_if_it_was_stored() {
    let (environment, _log, mut events) = observed();
    let list = MemoryRevocationList::default().environment(&environment);
    list.revoke(Revocation::token("https://issuer.test", "token-1"), START + Duration::from_secs(60)).unwrap();
    let notice = |outcome| Notice::Revoked {
        kind: "token",
        outcome,
        issuer: Some("https://issuer.test".into()),
        name: "token-1".into(),
    };
    assert_eq!(notices(&mut events), [notice(ChangeOutcome::Done)]);
    list.revoke(Revocation::token("", "token-1"), None).unwrap_err();
    assert!(notices(&mut events).is_empty());

    // As a list with a store reports it.
    let revocation = Revocation::token("https://issuer.test", "token-1");
    let failed = |kind| Err(RevocationError::new(kind));
    revocation.report_to(&environment, &failed(RevocationErrorKind::Full));
    assert!(notices(&mut events).is_empty());
    revocation.report_to(&environment, &failed(RevocationErrorKind::Unavailable));
    assert_eq!(notices(&mut events), [notice(ChangeOutcome::Unknown)]);
}

#[tokio::test]
async fn an_outage_of_a_key_store_is_two_notices() {
    let (environment, _log, mut events) = observed();
    let stack = Stack::with(|keys| keys.environment(&environment), |layer| layer);
    stack.store.set(Mode::Fail);
    for _ in 0..3 {
        stack.bearer(unknown_key().expose()).await.assert_unavailable("key_store_unavailable");
    }
    let down = notices(&mut events);
    assert!(
        matches!(&down[..], [Notice::DependencyDown { dependency, .. }] if &**dependency == "key store"),
        "{down:?}"
    );
    stack.store.set(Mode::Answer);
    stack.bearer(unknown_key().expose()).await.assert_invalid("key_unknown");
    assert_eq!(notices(&mut events), [Notice::DependencyUp { dependency: "key store".into(), issuer: None }]);
}

#[tokio::test]
async fn a_lasting_outage_after_a_flapping_start_is_reported() {
    let (environment, _log, mut events) = observed();
    let stack = Stack::with(|keys| keys.environment(&environment), |layer| layer);
    for _ in 0..12 {
        for (mode, reason) in [(Mode::Fail, "key_store_unavailable"), (Mode::Answer, "key_unknown")] {
            stack.store.set(mode);
            assert_eq!(stack.bearer(unknown_key().expose()).await.reason, Some(reason));
        }
    }
    stack.store.set(Mode::Fail);
    stack.bearer(unknown_key().expose()).await.assert_unavailable("key_store_unavailable");
    let notices = notices(&mut events);
    assert!(matches!(notices.last(), Some(Notice::DependencyDown { .. })), "{notices:?}");
    assert_eq!(notices.len(), 19, "ten outages, of which the last one goes on");
}

#[tokio::test]
async fn an_outage_of_a_revocation_list_is_a_notice() {
    struct Down;
    impl RevocationList for Down {
        fn is_revoked(&self, _: &tower_warden::Identity) -> Eventual<Result<bool, Unavailable>> {
            Eventual::Now(Err(Unavailable::new("the list")))
        }
    }
    let (environment, _log, mut events) = observed();
    let stack = Stack::with(|keys| keys, |layer| layer.revocations(Down).environment(&environment));
    let (_, key) = stack.alice().await;
    stack.bearer(key.expose()).await.assert_unavailable("revocations_unavailable");
    let down = notices(&mut events);
    assert!(matches!(&down[..], [Notice::DependencyDown { dependency, .. }] if &**dependency == "revocation list"));
}

#[tokio::test]
async fn an_outage_of_a_role_directory_is_a_notice() {
    struct Down;
    impl RoleDirectory for Down {
        fn scopes(&self, _: &RoleQuery<'_>) -> Eventual<Result<Scopes, Unavailable>> {
            Eventual::Now(Err(Unavailable::new("the directory")))
        }
    }
    let (environment, _log, mut events) = observed();
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let roles = RoleLayer::new(Down).environment(&environment);
    let service = AuthLayer::new(stack.keys.clone()).layer(roles.layer(service_fn(answer)));
    drop(service.oneshot(bearer(key.expose()).body(Full::default()).unwrap()).await);
    let down = notices(&mut events);
    assert!(matches!(&down[..], [Notice::DependencyDown { dependency, .. }] if &**dependency == "role directory"));
}

#[tokio::test]
async fn outages_of_all_that_a_layer_depends_on_are_notices() {
    /// Nothing responds.
    #[derive(Clone)]
    struct Down;
    impl KeySource for Down {
        fn find(&self, _: &KeyRequest<'_>) -> Eventual<Result<Option<Arc<VerifyingKey>>, Unavailable>> {
            Eventual::Now(Err(Unavailable::new("the keys")))
        }
    }
    impl Fetch for Down {
        fn fetch(&self, _: Request<Bytes>, _: usize) -> Eventual<Result<http::Response<Bytes>, Unavailable>> {
            Eventual::Now(Err(Unavailable::new("the endpoint")))
        }
    }
    let (environment, _log, mut events) = observed();
    let issuer = || Issuer::new("https://issuer.test", "https://api.test").unwrap();
    let introspection = Introspection::builder(issuer(), "https://issuer.test/introspect", "api", "secret");
    let introspection = introspection.fetch(Down).build().unwrap();
    let jwt = Jwt::new(issuer(), Down);
    // The environment is set before the second authenticator is there, and both are behind a list.
    let layer = AuthLayer::new((jwt, introspection)).environment(&environment);
    let service = layer.layer(service_fn(answer));
    let token = TestIssuer::new("https://issuer.test").token("alice").audience("https://api.test").sign();
    for (token, dependency) in [(&*token, "issuer keys"), ("opaque-token-of-alice", "introspection")] {
        drop(service.clone().oneshot(bearer(token).body(Full::default()).unwrap()).await);
        let down = notices(&mut events);
        let [Notice::DependencyDown { dependency: noted, .. }] = &down[..] else { panic!("{dependency}: {down:?}") };
        assert_eq!(&**noted, dependency);
    }
}

#[tokio::test]
async fn an_outage_of_the_keys_of_a_resolved_issuer_is_a_notice() {
    struct Resolves(TestIssuer);
    impl IssuerResolver for Resolves {
        fn resolve(&self, name: &str) -> Eventual<Result<Option<TrustedIssuer>, Unavailable>> {
            let trusted = TrustedIssuer::new(Issuer::new(name, "https://api.test").unwrap(), self.0.clone());
            Eventual::Now(Ok(Some(trusted)))
        }
    }
    let (environment, _log, mut events) = observed();
    let [own, tenant] =
        ["https://own.test", "https://tenant.test"].map(|name| TestIssuer::new(name).environment(&environment));
    let own = Jwt::builder(Issuer::new(own.name(), "https://api.test").unwrap(), own);
    let jwt = own.resolver(Resolves(tenant.clone())).build().unwrap();
    let service = AuthLayer::new(jwt).environment(&environment).layer(service_fn(answer));
    tenant.fail();
    let token = tenant.token("alice").audience("https://api.test").sign();
    drop(service.clone().oneshot(bearer(&token).body(Full::default()).unwrap()).await);
    let down = notices(&mut events);
    let [Notice::DependencyDown { dependency, issuer, .. }] = &down[..] else { panic!("{down:?}") };
    assert_eq!((&**dependency, issuer.as_deref()), ("issuer keys", Some("https://tenant.test")));
}

/// A key set that was fetched, whose changes and outages are notices.
async fn key_set() -> (Endpoint, RemoteKeys, ManualClock, EventReceiver) {
    let (sink, mut events) = AuditChannel::new(100);
    let (clock, issuer) = endpoint::issuer();
    let endpoint = Endpoint::new(&issuer);
    let environment = Environment::default().with_clock(clock.clone()).with_observer(AuditLog::new(sink));
    let keys = RemoteKeys::builder(endpoint::JWKS).fetch(endpoint.clone()).environment(&environment);
    let keys = keys.connect().await.unwrap();
    assert!(matches!(&notices(&mut events)[..], [Notice::IssuerKeysChanged { .. }]));
    (endpoint, keys, clock, events)
}

#[tokio::test]
async fn a_key_set_that_cannot_be_refreshed_is_a_notice_before_requests_fail() {
    let (endpoint, keys, clock, mut events) = key_set().await;
    for (mode, is_down) in [(endpoint::Mode::Fail, true), (endpoint::Mode::Answer, false)] {
        endpoint.set(mode.clone());
        clock.advance(Duration::from_secs(510));
        assert!(keys.is_ready(), "requests have the last keys");
        endpoint::settle().await;
        let changed = notices(&mut events);
        let (dependency, issuer) = match &changed[..] {
            [Notice::DependencyDown { dependency, issuer, .. }] if is_down => (dependency, issuer),
            [Notice::DependencyUp { dependency, issuer }] if !is_down => (dependency, issuer),
            other => panic!("{mode:?}: {other:?}"),
        };
        assert_eq!(&**dependency, "key set");
        assert!(issuer.as_deref().is_some_and(|host| endpoint::JWKS.contains(host)));
    }
}

#[tokio::test]
async fn a_failed_fetch_for_an_unknown_key_is_no_outage_of_a_key_set_in_use() {
    let (endpoint, keys, _clock, mut events) = key_set().await;
    endpoint.set(endpoint::Mode::Fail);
    keys.find(&KeyRequest::new(Some("unknown"), Algorithm::ES256, START)).wait().await.unwrap_err();
    assert_eq!(notices(&mut events), []);
}

#[tokio::test]
async fn a_token_that_names_keys_of_its_own_is_observed() {
    let (environment, log, mut events) = observed();
    let issuer = TestIssuer::new("https://issuer.test").environment(&environment);
    let jwt = Jwt::new(Issuer::new(issuer.name(), "https://api.test").unwrap(), issuer.clone());
    let service = AuditLayer::new(log).layer(AuthLayer::new(jwt).environment(&environment).layer(service_fn(answer)));
    for name in ["jku", "x5u"] {
        let token = issuer.token("alice").audience("https://api.test").header(name, "https://evil.test/s3cret").sign();
        for sent in ["verified", "cached"] {
            drop(service.clone().oneshot(bearer(&token).body(Full::default()).unwrap()).await);
            let event = request(&mut events);
            assert!(event.is_admitted());
            assert_eq!(event.observations, [Observation::KeyInToken], "{sent}");
            assert!(!format!("{event:?}").contains("s3cret"));
        }
    }
}

/// A limiter whose decisions are made elsewhere.
#[derive(Clone)]
struct Scripted(Arc<Mutex<Decision>>);

impl RateLimiter for Scripted {
    fn take(&self, _: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        Eventual::Now(Ok(self.0.lock().unwrap().clone()))
    }
}

fn decided(by: DecidedBy) -> (Decision, Decision) {
    let mut status = LimitStatus::new(0, 0, Duration::from_secs(1));
    status.decided_by = by;
    let refused = LimitExceeded::new(status, Duration::from_secs(1), vec![0]);
    (Decision::Admitted(status), Decision::Refused(refused))
}

#[tokio::test]
async fn an_outage_of_a_limiter_lasts_until_its_store_decides() {
    let (environment, _log, mut events) = observed();
    let limiter = Scripted(Arc::new(Mutex::new(Decision::Uncounted)));
    let layer = RateLimitLayer::new("calls", limiter.clone(), LimitBy::global(), Quota::per_minute(10));
    // A correction that is made shows nothing.
    let service = layer.environment(&environment).final_cost(|_, cost| cost + 1).layer(service_fn(answer));
    let ((admitted, refused), (known, exhausted)) = (decided(DecidedBy::Substitute), decided(DecidedBy::Memory));
    let (stored, full) = decided(DecidedBy::Store);
    for (outage, end) in [(admitted, stored), (refused, full.clone()), (Decision::Uncounted, full)] {
        for decision in [outage.clone(), known.clone(), exhausted.clone(), outage] {
            *limiter.0.lock().unwrap() = decision;
            drop(service.clone().oneshot(Request::new(Full::default())).await);
        }
        let down = notices(&mut events);
        assert!(
            matches!(&down[..], [Notice::DependencyDown { dependency, .. }] if &**dependency == "rate limiter"),
            "{down:?}"
        );
        *limiter.0.lock().unwrap() = end;
        drop(service.clone().oneshot(Request::new(Full::default())).await);
        let up = notices(&mut events);
        assert!(matches!(&up[..], [Notice::DependencyUp { .. }]), "{up:?}");
    }
}

#[tokio::test]
async fn the_state_of_the_limit_is_in_the_event() {
    struct Uncounted;
    impl RateLimiter for Uncounted {
        fn take(&self, _: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
            Eventual::Now(Ok(Decision::Uncounted))
        }
    }
    let (_environment, log, mut events) = observed();
    let quota = || Quota::per_minute(10);
    let service = ServiceBuilder::new()
        .layer(AuditLayer::new(log.clone()))
        .layer(RateLimitLayer::new("all", LocalRateLimiter::default(), LimitBy::global(), Quota::per_hour(100)))
        .layer(RateLimitLayer::new("few", LocalRateLimiter::default(), LimitBy::global(), quota()))
        .service_fn(answer);
    drop(service.oneshot(Request::new(Full::default())).await);
    let limit = request(&mut events).limit.unwrap();
    assert_eq!((&*limit.limit, limit.remaining, limit.counted), ("few", 9, Counted::Counted));

    let limit = RateLimitLayer::new("shared", Uncounted, LimitBy::global(), quota());
    let service = AuditLayer::new(log).layer(limit.layer(service_fn(answer)));
    drop(service.oneshot(Request::new(Full::default())).await);
    assert_eq!(request(&mut events).limit.unwrap().counted, Counted::NotCounted);
}

#[tokio::test]
async fn routes_outside_of_the_authentication_are_found() {
    let stack = Stack::new();
    let auth = AuthLayer::new(stack.keys.clone());
    let app: Router = Router::new()
        .route("/accounts/{id}", get(async || "an account"))
        .layer(auth)
        .route("/internal/{id}", get(async || "forgotten"));
    assert_protected(&app, [(Method::GET, "/accounts/{id}")]).await;
    let both = [(Method::GET, "/accounts/{id}"), (Method::GET, "/internal/{id}")];
    let message = tokio::spawn(async move { assert_protected(&app, both).await }).await.unwrap_err().into_panic();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("GET /internal/{id}: 200 OK") && !message.contains("accounts"), "{message}");
}

#[tokio::test]
async fn the_route_is_in_the_event_inside_and_outside_of_the_router() {
    let stack = Stack::new();
    let (_, key) = stack.alice().await;
    let environment = Environment::default().with_clock(stack.clock.clone());
    let auth = || AuthLayer::new(stack.keys.clone()).environment(&environment);
    let routes = || Router::new().route("/accounts/{id}", get(async || "an account"));
    let (_environment, log, mut events) = observed();
    let inside: Router = routes().layer(auth()).layer(AuditLayer::new(log.clone()));
    let outside = AuditLayer::new(log).layer(routes().layer(auth()));
    let get = || Request::get("/accounts/7?x=1").header("x-api-key", key.expose()).body(Body::empty()).unwrap();
    drop(inside.oneshot(get()).await);
    assert_eq!(request(&mut events).route(), Some("/accounts/{id}"));
    drop(outside.oneshot(get()).await);
    let event = request(&mut events);
    assert_eq!((event.route(), event.path()), (Some("/accounts/{id}"), "/accounts/7"));
}
