//! What is measured, and that the manual lists it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use http::{Method, Request};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower::ServiceExt;
use tower_warden::{
    Digest, Environment, Eventual, Unavailable,
    api_key::NewKey,
    audit::{AuditChannel, AuditLog, Detection, Detector, MetricsSink, Notice, Observer},
    layer::{AuditLayer, AuthLayer, AuthorizeLayer, RateLimitLayer},
    rate_limit::{DecidedBy, Decision, LimitBy, LimitRequest, LocalRateLimiter, Quota, RateLimiter},
    refusal::GrpcStatus,
    scope::Scopes,
};

use crate::{
    endpoint::{self, Mode, Remote, settle},
    support::{self, Stack},
};

/// The metrics that were emitted: `name{label=value,…}` with the labels in order, and the value, or the number of values.
type Metrics = BTreeMap<String, f64>;

/// Emits metrics, and returns them.
fn measured(emit: impl AsyncFnOnce()) -> Metrics {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(emit()));
    let metrics = snapshotter.snapshot().into_vec().into_iter().map(|(key, _, _, value)| {
        let key = key.key();
        let labels: BTreeMap<_, _> = key.labels().map(|label| (label.key(), label.value())).collect();
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(values) => values.len() as f64,
        };
        (format!("{}{{{}}}", key.name(), labels.join(",")), value)
    });
    metrics.collect()
}

fn app(stack: &Stack, log: AuditLog) -> Router {
    let environment = Environment::default().with_clock(stack.clock.clone());
    let quota = Quota::per_hour(4);
    Router::new()
        .route("/accounts/{id}", get(async || "account"))
        .route("/broken", get(async || http::StatusCode::BAD_GATEWAY))
        .layer(AuthorizeLayer::all_of(Scopes::parse("billing:read").unwrap().iter().cloned()))
        .layer(RateLimitLayer::new("calls", LocalRateLimiter::default(), LimitBy::principal(), quota))
        .layer(AuthLayer::new(stack.keys.clone()).environment(&environment))
        .layer(AuditLayer::new(log))
}

async fn call(app: &Router, method: Method, path: &str, key: &str) {
    let request = Request::builder().method(method).uri(path).header("x-api-key", key);
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
}

/// Requests of all kinds.
async fn requests(log: AuditLog) {
    let stack = Stack::new();
    let (_, alice) = stack.alice().await;
    let (_, bob) = stack.mint(NewKey::new("bob")).await;
    let app = app(&stack, log);
    for number in 0..3 {
        call(&app, Method::GET, &format!("/accounts/{number}"), alice.expose()).await;
    }
    call(&app, Method::GET, "/broken", alice.expose()).await;
    call(&app, Method::GET, "/accounts/7", alice.expose()).await;
    call(&app, Method::GET, "/accounts/7", bob.expose()).await;
    call(&app, Method::from_bytes(b"MAKE-A-SERIES").unwrap(), "/accounts/7", bob.expose()).await;
    let unknown = support::unknown_key();
    for _ in 0..2 {
        call(&app, Method::GET, "/accounts/7", unknown.expose()).await;
    }
}

#[test]
fn requests_are_counted_by_decision_and_measured_under_the_names_of_opentelemetry() {
    let (sink, events) = AuditChannel::new(5);
    let metrics = measured(async || requests(AuditLog::new(sink).and(MetricsSink::new())).await);
    drop(events);
    let expected = [
        ("warden.requests{decision=admitted,reason=none}", 4.0),
        ("warden.requests{decision=refused,reason=insufficient_scope}", 2.0),
        ("warden.requests{decision=refused,reason=key_unknown}", 2.0),
        ("warden.requests{decision=refused,reason=quota_exceeded}", 1.0),
        (
            "http.server.request.duration{http.request.method=GET,http.response.status_code=200,http.route=/accounts/{id}}",
            3.0,
        ),
        (
            "http.server.request.duration{error.type=502,http.request.method=GET,http.response.status_code=502,http.route=/broken}",
            1.0,
        ),
        (
            "http.server.request.duration{error.type=403,http.request.method=_OTHER,\
             http.response.status_code=403,http.route=/accounts/{id}}",
            1.0,
        ),
        ("warden.audit.lost{sink=channel}", 4.0),
        ("warden.audit.queue{sink=channel}", 5.0),
        ("warden.cache.lookups{cache=key store,result=hit}", 5.0),
        ("warden.cache.lookups{cache=key store,result=miss}", 3.0),
        ("warden.cache.lookups{cache=key store,result=refused}", 1.0),
        ("warden.limiter.decisions{decision=admitted}", 6.0),
        ("warden.limiter.decisions{decision=refused}", 1.0),
        ("warden.verification.duration{method=api_key,outcome=ok}", 2.0),
        ("warden.verification.duration{method=api_key,outcome=refused}", 2.0),
    ];
    for (name, value) in expected {
        assert_eq!(metrics.get(name), Some(&value), "{name} in {metrics:#?}");
    }
}

#[test]
fn decisions_of_a_substitute_are_counted_apart() {
    /// A limiter whose store does not respond.
    struct OnThisNode(LocalRateLimiter);
    impl RateLimiter for OnThisNode {
        fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
            self.0.take(request).map(|decision| {
                let mut decision = decision?;
                match &mut decision {
                    Decision::Admitted(status) => status.decided_by = DecidedBy::Substitute,
                    Decision::Refused(exceeded) => exceeded.status.decided_by = DecidedBy::Substitute,
                    _ => {}
                }
                Ok(decision)
            })
        }
    }
    let metrics = measured(async || {
        let limiter = OnThisNode(LocalRateLimiter::default());
        let layer = RateLimitLayer::new("calls", limiter, LimitBy::global(), Quota::per_hour(1));
        let app = Router::new().route("/", get(async || "home")).layer(layer);
        for _ in 0..3 {
            call(&app, Method::GET, "/", "none").await;
        }
    });
    assert_eq!(metrics, [("warden.limiter.decisions{decision=on_this_node}".to_owned(), 3.0)].into());
}

#[test]
fn the_method_and_the_path_of_a_request_are_in_no_label() {
    let metrics = measured(async || requests(AuditLog::new(MetricsSink::new())).await);
    for name in metrics.keys() {
        for text in ["MAKE-A-SERIES", "/accounts/7", "alice", "bob", "acme"] {
            assert!(!name.contains(text), "{name}");
        }
    }
}

#[test]
fn key_sets_are_measured() {
    let metrics = measured(async || {
        let remote = Remote::new().await;
        remote.send(&remote.token().sign()).await.assert_subject("alice");
        remote.send(&remote.token().sign()).await.assert_subject("alice");
        remote.endpoint.set(Mode::Fail);
        remote.pass(510).await;
        settle().await;
    });
    let value = |start: &str| {
        let (name, value) = metrics.range(start.to_owned()..).next().unwrap();
        assert!(name.starts_with(start), "{start} in {metrics:#?}");
        *value
    };
    // Two sets of one host have two names.
    let digest = &Digest::of(endpoint::JWKS.as_bytes()).to_hex()[..8];
    let name = format!("warden.key_set.last_refresh{{issuer=issuer.test#{digest}}}");
    assert_eq!(metrics.get(&name), Some(&(support::START.as_secs() as f64)), "{metrics:#?}");
    let refreshes: Vec<_> = metrics.iter().filter(|(name, _)| name.starts_with("warden.key_set.refreshes")).collect();
    assert_eq!(refreshes.len(), 2, "{refreshes:?}");
    assert!(refreshes[0].0.ends_with("outcome=failed}") && refreshes[1].0.ends_with("outcome=ok}"), "{refreshes:?}");
    assert!(metrics["warden.cache.lookups{cache=tokens,result=miss}"] >= 2.0);
    assert_eq!(value("warden.verification.duration{method=jwt,outcome=ok}"), 2.0);
}

fn notices(log: &AuditLog) {
    let dependency = || Arc::<str>::from("key store");
    log.observe(Notice::DependencyDown { dependency: dependency(), issuer: None, cause: "timed out".into() });
    log.observe(Notice::DependencyUp { dependency: dependency(), issuer: None });
    log.observe(Notice::DependencyDown { dependency: "rate limiter".into(), issuer: None, cause: "timed out".into() });
    for issuer in ["a", "b"] {
        log.observe(Notice::DependencyDown {
            dependency: "key set".into(),
            issuer: Some(issuer.into()),
            cause: "timed out".into(),
        });
    }
    log.observe(Notice::DependencyUp { dependency: "key set".into(), issuer: None });
}

#[test]
fn dependencies_and_alerts_are_counted() {
    let metrics = measured(async || {
        let detector = Detector::builder(MetricsSink::new());
        let two = std::num::NonZeroU32::new(2).unwrap();
        let detector = detector.threshold(Detection::RefusedScopes, two, Duration::from_secs(60)).unwrap().build();
        let log = AuditLog::new(detector);
        requests(log.clone()).await;
        notices(&log);
    });
    assert_eq!(metrics["warden.alerts{detection=refused_scopes,state=raised}"], 1.0);
    assert_eq!(metrics["warden.dependency.outages{dependency=key store}"], 0.0);
    assert_eq!(metrics["warden.dependency.outages{dependency=rate limiter}"], 1.0);
    assert_eq!(metrics["warden.dependency.outages{dependency=key set}"], 1.0, "one of two responds again");
    assert_eq!(metrics["warden.notices{notice=dependency_down}"], 4.0);
}

#[test]
fn counters_of_alerts_and_of_lost_events_begin_with_zero() {
    let metrics = measured(async || {
        let (sink, _events) = AuditChannel::new(5);
        drop(AuditLog::new(sink).and(MetricsSink::new()));
    });
    assert_eq!(metrics["warden.audit.lost{sink=channel}"], 0.0);
    assert_eq!(metrics["warden.alerts{detection=failures_of_caller,state=cleared}"], 0.0);
    assert_eq!(metrics["warden.alerts{detection=unusual_rate,state=raised}"], 0.0);
    let alerts = metrics.keys().filter(|name| name.starts_with("warden.alerts{"));
    assert_eq!(alerts.count(), 18, "each of nine detections is raised and cleared");
}

#[test]
fn a_request_without_a_refusal_or_an_error_has_no_type_of_error() {
    let metrics = measured(async || requests(AuditLog::new(MetricsSink::new())).await);
    let types: BTreeSet<_> =
        metrics.keys().filter_map(|name| name.split_once("error.type=")?.1.split(',').next()).collect();
    assert_eq!(types, ["401", "403", "429", "502"].into(), "a status, and not the reason");
}

#[test]
fn the_type_of_an_error_of_a_refusal_by_grpc_is_its_code() {
    let metrics = measured(async || {
        let stack = Stack::new();
        let auth = AuthLayer::new(stack.keys.clone()).respond_with(GrpcStatus::default());
        let app = Router::new().route("/", get(async || "ok")).layer(auth);
        let app = app.layer(AuditLayer::new(AuditLog::new(MetricsSink::new())));
        drop(app.oneshot(Request::new(Body::empty())).await);
    });
    let types: Vec<_> = metrics.keys().filter_map(|name| name.split_once("error.type=")?.1.split(',').next()).collect();
    assert_eq!(types, ["credential_required"]);
}

/// The rows of the table in the manual: the name, the kind, and the labels.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/observing.rs");
    let text = fs::read_to_string(manual).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | `"));
    rows.map(|row| {
        let columns: Vec<_> = row.trim_end_matches(" |").split(" | ").collect();
        let [name, kind, labels, _] = columns[..] else { panic!("a row has four columns: {row}") };
        let name = name.trim_end_matches(" \\*").trim_end_matches(" *").trim_end_matches('`');
        let labels = labels.split(", ").map(|label| label.trim_matches('`').to_owned()).collect();
        (name.to_owned(), (kind.to_owned(), labels))
    })
    .collect()
}

#[test]
fn the_manual_lists_what_is_emitted() {
    let (sink, events) = AuditChannel::new(5);
    let metrics = measured(async || {
        let detector = Detector::builder(AuditLog::new(sink).and(MetricsSink::new()));
        let two = std::num::NonZeroU32::new(2).unwrap();
        let log =
            AuditLog::new(detector.threshold(Detection::RefusedScopes, two, Duration::from_secs(60)).unwrap().build());
        requests(log.clone()).await;
        notices(&log);
        drop(Remote::new().await);
    });
    drop(events);
    let mut emitted = BTreeMap::<_, BTreeSet<_>>::new();
    for metric in metrics.keys() {
        let (name, labels) = metric.split_once('{').unwrap();
        let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
        emitted.entry(name.to_owned()).or_default().extend(labels.map(|(label, _)| label.to_owned()));
    }
    let documented = documented();
    let labels: BTreeMap<_, _> = documented.iter().map(|(name, (_, labels))| (name.clone(), labels.clone())).collect();
    assert_eq!(emitted, labels);
}

/// The names in Prometheus, by the recommended naming of its exporter.
fn exported() -> BTreeSet<String> {
    let documented = documented();
    let names = documented.iter().flat_map(|(name, (kind, _))| {
        let name = name.replace('.', "_");
        match kind.as_str() {
            "counter" => vec![format!("{name}_total")],
            "gauge" => vec![name],
            "gauge, s" => vec![format!("{name}_seconds")],
            "histogram, s" => ["bucket", "count", "sum"].map(|suffix| format!("{name}_seconds_{suffix}")).to_vec(),
            other => panic!("unknown kind: {other}"),
        }
    });
    names.collect()
}

/// The words in a text that begin like the name of a metric.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("warden_") || word.starts_with("http_server_")).collect()
}

#[test]
fn the_dashboard_and_the_rules_name_metrics_that_exist() {
    let exported = exported();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/observed");
    for file in ["dashboard.json", "rules.yml"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let named = named(&text);
        assert!(named.len() >= 5, "{file}: {named:?}");
        for name in named {
            assert!(exported.contains(name), "{file}: {name}");
        }
    }
    let dashboard: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("dashboard.json")).unwrap()).unwrap();
    let text = dashboard.to_string();
    for name in &exported {
        let family = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        assert!(text.contains(family), "{family} is on the dashboard");
    }
}
