//! The layers that limit: what is counted, and what gets through.

use std::{convert::Infallible, net::SocketAddr, num::NonZeroU32, sync::Arc};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Request, Response, request::Builder};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    AuthMethod, Authenticator, Credential, Environment, Eventual, Identity, ManualClock, Presented, Principal, Reason,
    Rejection, RejectionKind, Unavailable,
    api_key::NewKey,
    layer::{AuthLayer, AuthorizeLayer, ConcurrencyLayer, FailureLimitLayer, RateLimitLayer},
    rate_limit::{
        CallerOrigin, Decision, Exempt, InFlightBody, LimitBy, LimitRequest, LocalRateLimiter, ManualStopwatch, Quota,
        QuotaSet, RateLimiter,
    },
    request::Peer,
    scheme::CredentialKind,
    scope::{Scope, Scopes},
};

use crate::support::{Answer, App, START, Stack, answer, bearer, request, seconds, send};

/// A handler under layers that limit.
pub struct Limited(App);

impl Limited {
    pub fn new<L>(layer: impl FnOnce(LocalRateLimiter) -> L) -> Self
    where
        L: Layer<Handler>,
        L::Service: Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as Service<Request<Full<Bytes>>>>::Future: Send,
    {
        Self::of(layer(LocalRateLimiter::default().stopwatch(ManualStopwatch::default())))
    }

    pub fn of<L>(layer: L) -> Self
    where
        L: Layer<Handler>,
        L::Service: Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as Service<Request<Full<Bytes>>>>::Future: Send,
    {
        let handler: Handler = service_fn(handle);
        Self(BoxCloneSyncService::new(layer.layer(handler)))
    }

    /// With bodies that are held.
    pub fn of_any(layer: &ConcurrencyLayer) -> Self {
        let handler: Handler = service_fn(handle);
        let read = |response: Response<InFlightBody<Full<Bytes>>>| async {
            let (parts, body) = response.into_parts();
            Ok::<_, Infallible>(Response::from_parts(parts, Full::from(body.collect().await.unwrap().to_bytes())))
        };
        Self(BoxCloneSyncService::new(layer.layer(handler).and_then(read)))
    }

    pub async fn send(&self, request: Builder) -> Answer {
        send(self.0.clone(), request).await
    }

    pub async fn status(&self, request: Builder) -> u16 {
        self.send(request).await.status.as_u16()
    }

    /// How many of so many requests pass.
    pub async fn passing(&self, count: usize, request: impl Fn(usize) -> Builder) -> usize {
        let mut passing = 0;
        for number in 0..count {
            let status = self.status(request(number)).await;
            assert!(matches!(status, 200 | 429), "{status}");
            passing += usize::from(status == 200);
        }
        passing
    }
}

type Reply = std::pin::Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;
pub type Handler = tower::util::ServiceFn<fn(Request<Full<Bytes>>) -> Reply>;

fn handle(request: Request<Full<Bytes>>) -> Reply {
    Box::pin(answer(request))
}

pub fn from(request: Builder, peer: &str) -> Builder {
    request.extension(Peer::new(SocketAddr::new(peer.parse().unwrap(), 4711)))
}

/// Believes a bearer that says who it is: `subject/tenant/tier`.
#[derive(Clone)]
pub struct Named;

impl Authenticator for Named {
    fn schemes(&self) -> Vec<Arc<dyn tower_warden::scheme::Scheme>> {
        vec![Arc::new(tower_warden::scheme::Bearer::default())]
    }

    fn accepts(&self, credential: &Credential<'_>) -> bool {
        credential.kind() == CredentialKind::AccessToken
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let text = presented.credential.text();
        let mut parts = text.split('/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).map(Box::from);
        let Some(subject) = next() else { unreachable!("a bearer is not empty") };
        if &*subject == "bad" {
            return Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, Reason::custom("bad"))));
        }
        let mut identity = Identity::new(subject, AuthMethod::Custom("test"));
        (identity.tenant, identity.tier, identity.key_id) = (next(), next(), next());
        identity.scopes = Scopes::parse("read").unwrap();
        if let Some(plan) = next() {
            identity.metadata.insert("plan".into(), plan);
        }
        Eventual::Now(Ok(Arc::new(identity)))
    }
}

/// Callers that `Named` believes.
pub const fn named() -> CallerOrigin {
    CallerOrigin::method(AuthMethod::Custom("test"))
}

/// Inside of an `AuthLayer`.
pub fn inside(layer: impl FnOnce(LocalRateLimiter) -> RateLimitLayer) -> Limited {
    Limited::new(|limiter| ServiceBuilder::new().layer(AuthLayer::new(Named)).layer(layer(limiter)).into_inner())
}

pub fn daily(count: u32) -> Quota {
    Quota::per_day(count)
}

#[tokio::test]
async fn layers_of_one_name_share_the_count_of_equal_quotas() {
    let limiter = LocalRateLimiter::default();
    let app = |quota: Quota| Limited::of(RateLimitLayer::new("peers", limiter.clone(), LimitBy::peer(), quota));
    let (one, same) = (app(daily(2)), app(daily(2)));
    assert_eq!(one.passing(1, |_| from(request(), "192.0.2.1")).await, 1);
    assert_eq!(same.passing(5, |_| from(request(), "192.0.2.1")).await, 1);
    assert_eq!(app(daily(3)).passing(5, |_| from(request(), "192.0.2.1")).await, 3);
    assert_eq!(app(daily(2).named("other")).passing(5, |_| from(request(), "192.0.2.1")).await, 2);
}

#[tokio::test]
async fn the_tier_chooses_the_plan_and_an_unknown_one_has_the_smallest() {
    let app = inside(|limiter| {
        let layer = RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(1).named("free"));
        layer.tier("pro", daily(3).named("pro")).tier("team", QuotaSet::new([daily(5).named("team")]).unwrap())
    });
    assert_eq!(app.passing(10, |_| bearer("alice/acme/pro")).await, 3);
    assert_eq!(app.passing(10, |_| bearer("bob/acme/team")).await, 5);
    assert_eq!(app.passing(10, |_| bearer("carol/acme/gold")).await, 1);
    assert_eq!(app.passing(10, |_| bearer("dave")).await, 1);
    assert!(app.send(bearer("dave")).await.header("ratelimit-policy").unwrap().starts_with("\"free\""));
}

#[tokio::test]
async fn a_closure_chooses_the_plan_by_what_the_key_says() {
    let large = QuotaSet::from(daily(4).named("large"));
    let app = inside(|limiter| {
        let choose = move |caller: &Principal| {
            caller.metadata_value("plan").filter(|plan| *plan == "large").map(|_| large.clone())
        };
        RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(1))
            .tier("pro", daily(2).named("pro"))
            .choose(choose)
    });
    assert_eq!(app.passing(10, |_| bearer("alice/a/pro/k/large")).await, 4);
    assert_eq!(app.passing(10, |_| bearer("bob/a/pro/k/small")).await, 2);
    assert_eq!(app.passing(10, |_| bearer("carol/a/b/k/small")).await, 1);
}

#[tokio::test]
async fn a_key_of_the_store_brings_its_tier() {
    let limit =
        |limiter| RateLimitLayer::new("calls", limiter, LimitBy::key(), daily(1)).tier("pro", daily(3).named("pro"));
    let stack = Stack::new();
    let (_, pro) = stack.mint(NewKey::new("alice").tier("pro")).await;
    let (_, free) = stack.mint(NewKey::new("alice")).await;
    let auth = AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
    let app = Limited::new(|limiter| ServiceBuilder::new().layer(auth).layer(limit(limiter)).into_inner());
    assert_eq!(app.passing(10, |_| bearer(pro.expose())).await, 3);
    assert_eq!(app.passing(10, |_| bearer(free.expose())).await, 1);
}

#[tokio::test]
async fn an_expensive_request_costs_more_and_a_free_one_nothing() {
    // (120)
    let app = Limited::new(|limiter| {
        RateLimitLayer::new("peers", limiter, LimitBy::peer(), daily(20)).cost(|head| match head.uri.path() {
            "/search" => 10,
            "/everything" => u32::MAX,
            "/free" => 0,
            _ => 1,
        })
    });
    let to = |path: &str| from(Request::builder().uri(path), "192.0.2.1");
    assert_eq!(app.passing(3, |_| to("/free")).await, 3);
    assert_eq!(app.passing(1, |_| to("/")).await, 1);
    assert_eq!(app.passing(3, |_| to("/search")).await, 1);
    let refused = app.send(to("/search")).await;
    // Nine are left, and one more takes a twentieth of a day.
    assert_eq!(refused.header("ratelimit"), Some("\"per-day\";r=9;t=4320"));
    assert_eq!(refused.header("retry-after"), Some("4320"));
    assert_eq!(app.passing(20, |_| to("/")).await, 9);
    assert_eq!(app.passing(3, |_| to("/free")).await, 3, "free even then");
    assert_eq!(app.send(to("/everything")).await.header("retry-after"), Some("86400"));
}

#[tokio::test]
async fn exemptions_are_the_servers_rules() {
    let app = inside(|limiter| {
        let layer = RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(1));
        let layer = layer.exempt(Exempt::path("/health")).exempt(Exempt::subject(named(), "monitor"));
        layer.exempt(Exempt::origin(named().tenant("internal"))).exempt(Exempt::tier("unmetered"))
    });
    for exempt in ["monitor", "alice/internal", "bob/acme/unmetered"] {
        assert_eq!(app.passing(3, |_| bearer(exempt)).await, 3);
        assert_eq!(app.send(bearer(exempt)).await.header("ratelimit"), None);
    }
    let to = |path: &str| bearer("alice").uri(path);
    assert_eq!(app.passing(3, |_| to("/health")).await, 3);
    for path in ["/health/", "//health", "/HEALTH", "/health%2f", "/?path=/health", "/health/../x"] {
        assert!(app.passing(3, |_| to(path)).await <= 1, "{path}");
    }
    let app = inside(|limiter| {
        let layer = RateLimitLayer::new("calls", limiter, LimitBy::global(), daily(1));
        layer.exempt(Exempt::peer("10.0.0.0/8".parse().unwrap()))
    });
    assert_eq!(app.passing(3, |_| from(bearer("alice").header("x-forwarded-for", "10.0.0.1"), "192.0.2.1")).await, 1);
    assert_eq!(app.passing(3, |_| from(bearer("alice"), "10.0.0.1")).await, 3);
}

#[tokio::test]
async fn name_that_another_tenant_or_issuer_gives_is_not_exempt() {
    let monitor = || Exempt::subject(named(), "monitor");
    let of_acme = || Exempt::subject(named().tenant("acme"), "monitor");
    let of_issuer = || Exempt::subject(CallerOrigin::issuer("https://auth.example.com"), "monitor");
    let of_keys = || Exempt::subject(CallerOrigin::api_keys(), "monitor");
    let internal = || Exempt::origin(named().tenant("internal"));
    let untenanted = || Exempt::origin(named());
    let app =
        |rule| inside(|limiter| RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(1)).exempt(rule));
    for (rule, caller, passing) in [
        (monitor(), "monitor", 3),
        (monitor(), "monitor/acme", 1),
        (of_acme(), "monitor/acme", 3),
        (of_acme(), "monitor/other", 1),
        (of_acme(), "monitor", 1),
        (of_acme(), "alice/acme", 1),
        (of_issuer(), "monitor", 1),
        (of_keys(), "monitor", 1),
        (internal(), "alice/internal", 3),
        (internal(), "internal", 1),
        (untenanted(), "alice", 3),
        (untenanted(), "alice/acme", 1),
        (Exempt::api_key("k1"), "alice/acme/pro/k1", 3),
        (Exempt::api_key("k1"), "k1/k1/k1/k2", 1),
    ] {
        assert_eq!(app(rule.clone()).passing(3, |_| bearer(caller)).await, passing, "{rule:?} {caller}");
    }
}

#[tokio::test]
async fn key_that_a_tenant_mints_for_an_exempt_name_is_counted() {
    let stack = Stack::new();
    let (_, monitor) = stack.mint(NewKey::new("monitor")).await;
    let (_, imitation) = stack.mint(NewKey::new("monitor").tenant("acme")).await;
    let auth = AuthLayer::new(stack.keys.clone()).environment(&Environment::default().with_clock(stack.clock.clone()));
    let exempt = Exempt::subject(CallerOrigin::api_keys(), "monitor");
    let limit = |limiter| RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(1)).exempt(exempt);
    let app = Limited::new(|limiter| ServiceBuilder::new().layer(auth).layer(limit(limiter)).into_inner());
    assert_eq!(app.passing(3, |_| bearer(monitor.expose())).await, 3);
    assert_eq!(app.passing(3, |_| bearer(imitation.expose())).await, 1);
}

#[tokio::test]
async fn limits_of_two_names_share_no_counts_although_their_quotas_are_equal() {
    let limiter = LocalRateLimiter::default();
    let app = |name| Limited::of(RateLimitLayer::new(name, limiter.clone(), LimitBy::peer(), daily(2)));
    let failures = Limited::of(
        ServiceBuilder::new()
            .layer(FailureLimitLayer::new("search", limiter.clone(), LimitBy::peer(), daily(2)))
            .layer(AuthLayer::new(Named))
            .into_inner(),
    );
    let peer = || from(request(), "192.0.2.1");
    for name in ["search", "login", "", "searc", "search "] {
        assert_eq!(app(name).passing(5, |_| peer()).await, 2, "{name:?}");
    }
    for expected in [401, 401, 429] {
        assert_eq!(failures.status(from(bearer("bad"), "192.0.2.1")).await, expected);
    }
    assert_eq!(app("login").passing(5, |_| peer()).await, 0, "a clone of the limiter has the same counts");
}

#[tokio::test]
async fn flood_of_peers_leaves_room_for_the_counts_of_principals() {
    let limiter = LocalRateLimiter::bounded(2_000).stopwatch(ManualStopwatch::default());
    let peers = Limited::of(RateLimitLayer::new("peers", limiter.clone(), LimitBy::peer(), daily(1)));
    let calls = RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(1));
    let calls = Limited::of(ServiceBuilder::new().layer(AuthLayer::new(Named)).layer(calls).into_inner());
    let flood = |number: usize| from(request(), &format!("2001:db8:{:x}:{:x}::1", number >> 16, number & 0xffff));
    assert!(peers.passing(9_000, |number| flood(number / 3)).await < 3_000, "the table of peers is full");
    assert_eq!(calls.passing(100, |number| bearer(&format!("new-{number}"))).await, 100);
}

#[tokio::test]
async fn array_of_quotas_is_a_set() {
    let quotas = [daily(2), Quota::per_hour(5)];
    let app = Limited::new(|limiter| RateLimitLayer::new("peers", limiter, LimitBy::peer(), quotas));
    let answer = app.send(from(request(), "192.0.2.1")).await;
    assert_eq!(answer.header("ratelimit-policy"), Some("\"per-day\";q=2;w=86400, \"per-hour\";q=5;w=3600"));
    let twice = || QuotaSet::from([daily(2), daily(3)]);
    assert!(std::panic::catch_unwind(twice).is_err());
}

#[tokio::test]
async fn tenant_with_keys_of_two_tiers_is_limited_by_a_layer_without_tiers() {
    let app = inside(|limiter| {
        let layer = RateLimitLayer::new("tenants", limiter, LimitBy::tenant(), daily(1).named("free"));
        layer.tier("pro", daily(3).named("pro"))
    });
    let keys = ["alice/acme/free", "bob/acme/pro"];
    assert_eq!(app.passing(10, |number| bearer(keys[number % 2])).await, 4, "the quotas add up, as documented");

    let app = inside(|limiter| {
        let layer = RateLimitLayer::new("tenants", limiter, LimitBy::tenant(), daily(1).named("free"));
        let pro = QuotaSet::from(daily(3).named("pro"));
        layer.choose(move |caller| caller.tenant().filter(|tenant| *tenant == "acme").map(|_| pro.clone()))
    });
    assert_eq!(app.passing(10, |number| bearer(keys[number % 2])).await, 3, "the quotas of the tenant hold");
}

#[tokio::test]
async fn a_scope_exempts_its_holders() {
    let app = |scope: &str| {
        let rule = Exempt::scope(Scope::parse(scope).unwrap());
        inside(|limiter| RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(1)).exempt(rule))
    };
    assert_eq!(app("read").passing(3, |_| bearer("alice")).await, 3);
    assert_eq!(app("write").passing(3, |_| bearer("alice")).await, 1);
}

#[tokio::test]
async fn no_header_of_the_clients_makes_an_exemption_or_a_new_quota() {
    // (122)
    let app = inside(|limiter| {
        RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(1))
            .tier("pro", daily(1_000))
            .exempt(Exempt::tier("staff"))
    });
    let names = [
        "x-ratelimit-bypass",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "ratelimit",
        "ratelimit-policy",
        "x-tier",
        "x-real-ip",
        "x-forwarded-for",
        "x-tenant",
        "x-user-id",
        "x-request-id",
        "x-internal",
        "x-api-version",
        "user-agent",
        "x-forwarded-host",
    ];
    let with_all = |value: &str| names.iter().fold(bearer("alice"), |request, name| request.header(*name, value));
    let values = ["true", "1", "staff", "pro", "10.0.0.1", "alice"];
    assert_eq!(app.passing(values.len(), |number| with_all(values[number])).await, 1);
}

#[tokio::test]
async fn the_wall_clock_plays_no_part() {
    // (116)
    let (clock, stopwatch) = (ManualClock::at(START), ManualStopwatch::default());
    let limiter = LocalRateLimiter::default().stopwatch(stopwatch.clone());
    let app = Limited::of(
        ServiceBuilder::new()
            .layer(AuthLayer::new(Named).environment(&Environment::default().with_clock(clock.clone())))
            .layer(RateLimitLayer::new("calls", limiter, LimitBy::principal(), Quota::per_minute(1)))
            .into_inner(),
    );
    assert_eq!(app.status(bearer("alice")).await, 200);
    for jump in [START, START + seconds(86_400), tower_warden::UnixTime::from_secs(0)] {
        clock.set(jump);
        assert_eq!(app.status(bearer("alice")).await, 429);
    }
    stopwatch.advance(seconds(60));
    assert_eq!(app.status(bearer("alice")).await, 200);
}

#[tokio::test]
async fn a_refused_credential_is_not_counted_by_principal() {
    let app = inside(|limiter| RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(1)));
    for _ in 0..5 {
        assert_eq!(app.status(bearer("bad")).await, 401);
        assert_eq!(app.status(request()).await, 401);
    }
    assert_eq!(app.status(bearer("alice")).await, 200);
}

#[tokio::test]
async fn the_rate_comes_before_the_scope() {
    let app = Limited::new(|limiter| {
        ServiceBuilder::new()
            .layer(AuthLayer::new(Named))
            .layer(RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(1)))
            .layer(AuthorizeLayer::all_of([Scope::parse("write").unwrap()]))
            .into_inner()
    });
    let refused = app.send(bearer("alice")).await;
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.header("ratelimit"),
        Some("\"per-day\";r=0;t=86400"),
        "a refusal from inside has the fields too"
    );
    assert_eq!(app.status(bearer("alice")).await, 429);
}

/// A limiter that answers later, or not at all.
#[derive(Clone, Copy)]
enum Far {
    Down,
    Panics,
    Works,
}

impl RateLimiter for Far {
    fn take(&self, ask: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        let Eventual::Now(answer) = LocalRateLimiter::default().take(ask) else { unreachable!() };
        let far = *self;
        Eventual::later(async move {
            tokio::task::yield_now().await;
            match far {
                Self::Down => Err(Unavailable::new("the far limiter")),
                Self::Panics => panic!("the far limiter panics"),
                Self::Works => answer,
            }
        })
    }
}

#[tokio::test]
async fn a_limiter_may_take_its_time_and_one_that_is_down_is_503() {
    for (far, status, reason) in [
        (Far::Works, 200, None),
        (Far::Down, 503, Some("rate_limiter_unavailable")),
        (Far::Panics, 500, Some("panicked")),
    ] {
        let app = Limited::of(RateLimitLayer::new("calls", far, LimitBy::global(), daily(1)));
        let answer = app.send(request()).await;
        assert_eq!((answer.status.as_u16(), answer.reason), (status, reason));
        assert_eq!(answer.header("ratelimit").is_some(), status == 200);
    }
    for (far, status) in [(Far::Works, 401), (Far::Down, 503), (Far::Panics, 500)] {
        let layer = FailureLimitLayer::new("failures", far, LimitBy::global(), daily(1));
        let app = Limited::of(ServiceBuilder::new().layer(layer).layer(AuthLayer::new(Named)).into_inner());
        assert_eq!(app.status(bearer("bad")).await, status);
        assert_eq!(app.status(bearer("alice")).await, 200, "a good credential does not ask it");
    }
}

#[tokio::test]
async fn a_closure_that_panics_is_500_in_each_layer() {
    let panics = || LimitBy::with(|_, _| panic!("the closure panics"));
    let limiter = LocalRateLimiter::default;
    for app in [
        Limited::of(RateLimitLayer::new("calls", limiter(), panics(), daily(1))),
        Limited::of(FailureLimitLayer::new("failures", limiter(), panics(), daily(1))),
        Limited::of_any(&ConcurrencyLayer::new(panics(), NonZeroU32::MIN)),
    ] {
        app.send(request()).await.assert_reason(500, "panicked");
    }
}

#[tokio::test]
async fn limits_in_an_axum_app() {
    let limiter = LocalRateLimiter::default();
    let stack = ServiceBuilder::new()
        .layer(RateLimitLayer::new("peers", limiter.clone(), LimitBy::peer(), daily(100).named("peer")))
        .layer(FailureLimitLayer::new("failures", limiter.clone(), LimitBy::peer(), daily(1).named("failures")))
        .layer(AuthLayer::new(Named))
        .layer(RateLimitLayer::new("calls", limiter, LimitBy::principal(), daily(1)))
        .layer(ConcurrencyLayer::new(LimitBy::principal(), NonZeroU32::MIN));
    let app = Router::new().route("/", get(async |caller: Principal| caller.subject().to_owned())).layer(stack);
    let call = |who: &str| app.clone().oneshot(from(bearer(who), "192.0.2.1").body(Body::empty()).unwrap());
    let answer = Answer::read(call("alice").await.unwrap()).await;
    answer.assert_subject("alice");
    let limits: Vec<_> =
        answer.headers.iter().filter(|(name, _)| name == "ratelimit").map(|(_, value)| &**value).collect();
    assert_eq!(limits, ["\"concurrency\";r=0", "\"peer\";r=99;t=864", "\"per-day\";r=0;t=86400"]);
    assert_eq!(call("alice").await.unwrap().status(), 429);
    assert_eq!(
        (call("bad").await.unwrap().status(), call("bad").await.unwrap().status()),
        (http::StatusCode::UNAUTHORIZED, http::StatusCode::TOO_MANY_REQUESTS)
    );
    assert_eq!(call("bob").await.unwrap().status(), 200);
}
