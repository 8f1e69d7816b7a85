//! The layers that limit: who is counted together, what is counted, and what gets through.

use std::{
    convert::Infallible,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Request, Response, request::Builder};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    AuthMethod, Authenticator, Credential, Eventual, Identity, ManualClock, Presented, Principal, Rejection,
    RejectionKind, Unavailable,
    api_key::NewKey,
    layer::{AuthLayer, AuthorizeLayer, ConcurrencyLayer, FailureLimitLayer, RateLimitLayer, check::HeldBody},
    peer::{Peer, TrustedProxies},
    rate_limit::{Ask, By, Decision, Exempt, LocalRateLimiter, ManualStopwatch, Plan, Quota, RateLimiter},
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
        let read = |response: Response<HeldBody<Full<Bytes>>>| async {
            let (parts, body) = response.into_parts();
            Ok::<_, Infallible>(Response::from_parts(parts, Full::from(body.collect().await.unwrap().to_bytes())))
        };
        Self(BoxCloneSyncService::new(layer.layer(handler).and_then(read)))
    }

    pub async fn send(&self, request: Builder) -> Answer {
        send(self.0.clone(), request).await
    }

    async fn status(&self, request: Builder) -> u16 {
        self.send(request).await.status.as_u16()
    }

    /// How many of so many requests pass.
    async fn passing(&self, count: usize, request: impl Fn(usize) -> Builder) -> usize {
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
struct Named;

impl Authenticator for Named {
    fn accepts(&self, credential: &Credential<'_>) -> bool {
        matches!(credential, Credential::Bearer(_))
    }

    fn authenticate(&self, presented: &Presented<'_>) -> Eventual<Result<Arc<Identity>, Rejection>> {
        let Credential::Bearer(text) = presented.credential else { unreachable!() };
        let mut parts = text.split('/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).map(Box::from);
        let Some(subject) = next() else { unreachable!("a bearer is not empty") };
        if &*subject == "bad" {
            return Eventual::Now(Err(Rejection::new(RejectionKind::Invalid, "bad")));
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

/// Inside of an `AuthLayer`.
fn inside(layer: impl FnOnce(LocalRateLimiter) -> RateLimitLayer) -> Limited {
    Limited::new(|limiter| ServiceBuilder::new().layer(AuthLayer::new(Named)).layer(layer(limiter)).into_inner())
}

fn daily(count: u32) -> Quota {
    Quota::per_day(count)
}

#[tokio::test]
async fn peers_are_counted_apart_and_their_ports_are_not() {
    let app = Limited::new(|limiter| RateLimitLayer::new(limiter, By::peer(), daily(2)));
    let port = |port| request().extension(Peer::new(SocketAddr::new("192.0.2.1".parse().unwrap(), port)));
    assert_eq!(app.passing(10, |number| port(1_000 + u16::try_from(number).unwrap())).await, 2);
    assert_eq!(app.passing(10, |_| from(request(), "192.0.2.2")).await, 2);
    assert_eq!(app.passing(10, |_| from(request(), "::ffff:192.0.2.2")).await, 0, "the same, written as IPv6");
}

#[tokio::test]
async fn addresses_of_one_64_are_counted_together() {
    // (113)
    let app = Limited::new(|limiter| RateLimitLayer::new(limiter, By::peer(), daily(2)));
    assert_eq!(app.passing(50, |number| from(request(), &format!("2001:db8:0:1:{number:x}::{number:x}"))).await, 2);
    assert_eq!(app.passing(50, |_| from(request(), "2001:db8:0:2::1")).await, 2);
}

#[tokio::test]
async fn a_forwarded_address_makes_no_new_quota() {
    // (112)
    let app = Limited::new(|limiter| RateLimitLayer::new(limiter, By::peer(), daily(2)));
    let headers = ["x-forwarded-for", "forwarded", "x-real-ip", "client-ip", "cf-connecting-ip", "true-client-ip"];
    let spoofed = |number: usize| {
        let request = from(request(), "192.0.2.1");
        headers.iter().fold(request, |request, name| request.header(*name, format!("198.51.100.{number}")))
    };
    assert_eq!(app.passing(20, spoofed).await, 2);
}

#[tokio::test]
async fn behind_trusted_proxies_the_clients_are_counted() {
    // (112)
    let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
    let app = Limited::new(|limiter| RateLimitLayer::new(limiter, By::client(proxies), daily(2)));
    let via = |forwarded: String, peer: &str| from(request().header("x-forwarded-for", forwarded), peer);
    // What stands before the last hop that is no proxy is the client's own word.
    assert_eq!(app.passing(20, |n| via(format!("1.1.1.{n}, 198.51.100.7"), "10.0.0.1")).await, 2);
    assert_eq!(app.passing(20, |n| via(format!("1.1.1.{n}, 198.51.100.8, 10.0.0.2"), "10.0.0.1")).await, 2);
    // From nobody else it is believed.
    assert_eq!(app.passing(20, |n| via(format!("1.1.1.{n}"), "203.0.113.9")).await, 2);
    // What is no address is counted as the proxy itself.
    assert_eq!(app.passing(20, |n| via(format!("unknown-{n}"), "10.0.0.3")).await, 2);
}

#[tokio::test]
async fn only_the_declared_hop_is_counted() {
    // (112)
    let hops = NonZeroUsize::new(2).unwrap();
    let app = Limited::new(|limiter| RateLimitLayer::new(limiter, By::forwarded(hops), daily(2)));
    let via = |forwarded: String| from(request().header("x-forwarded-for", forwarded), "10.0.0.1");
    assert_eq!(app.passing(20, |n| via(format!("1.1.1.{n}, 198.51.100.7, 10.0.0.2"))).await, 2);
    assert_eq!(app.passing(20, |n| via(format!("198.51.100.8, 10.0.0.{n}"))).await, 2);
    // Too few hops, or no address: the peer.
    assert_eq!(app.passing(20, |n| via(format!("1.1.1.{n}"))).await, 2);
    assert_eq!(app.passing(20, |n| via(format!("odd-{n}, 10.0.0.2"))).await, 0);
}

#[tokio::test]
async fn a_server_that_does_not_tell_the_peer_is_told_so_and_lets_nobody_through() {
    for by in [By::peer(), By::client(TrustedProxies::default()), By::forwarded(NonZeroUsize::MIN)] {
        let app = Limited::new(|limiter| RateLimitLayer::new(limiter, by, daily(2)));
        let answer = app.send(request()).await;
        assert_eq!((answer.status.as_u16(), answer.reason), (500, Some("peer_unknown")));
    }
}

#[tokio::test]
async fn principals_are_counted_by_tenant_and_subject_whatever_their_credential() {
    let app = inside(|limiter| RateLimitLayer::new(limiter, By::principal(), daily(2)));
    assert_eq!(
        app.passing(20, |n| from(bearer(&format!("alice/acme/free/key-{n}")), &format!("192.0.2.{n}"))).await,
        2
    );
    assert_eq!(app.passing(20, |_| bearer("bob/acme")).await, 2);
    assert_eq!(app.passing(20, |_| bearer("alice/other")).await, 2);
    assert_eq!(app.passing(20, |_| bearer("alice")).await, 2);
}

#[tokio::test]
async fn a_principal_with_odd_characters_is_nobody_else() {
    // (118)
    let app = inside(|limiter| RateLimitLayer::new(limiter, By::principal(), daily(1)));
    for name in ["a.b/c", "a/b.c", "a.b.c", "a~b", "a-b", "acme/alice", "alice/acme", &"x".repeat(10_000)] {
        assert_eq!(app.passing(2, |_| bearer(name)).await, 1, "{name}");
    }
}

#[tokio::test]
async fn tenants_keys_and_metadata_are_counted_together_or_else_the_principal() {
    for (by, alike, bare) in [
        (By::tenant(), ["alice/acme", "bob/acme"], ["alice", "bob"]),
        (By::key(), ["alice/a/b/key", "bob/a/b/key"], ["alice", "bob"]),
        (By::metadata("plan"), ["alice/a/b/c/pro", "bob/a/b/d/pro"], ["alice/a/b/c", "bob/a/b/c"]),
    ] {
        let app = inside(|limiter| RateLimitLayer::new(limiter, by, daily(2)));
        assert_eq!(app.passing(10, |number| bearer(alike[number % 2])).await, 2, "{alike:?}");
        assert_eq!(app.passing(10, |number| bearer(bare[number % 2])).await, 4, "{bare:?}");
    }
}

#[tokio::test]
async fn callers_without_a_credential_are_counted_by_peer_under_an_optional_layer() {
    let app = Limited::new(|limiter| {
        let auth = AuthLayer::new(Named).optional();
        let limit = RateLimitLayer::new(limiter, By::principal(), daily(2));
        ServiceBuilder::new().layer(auth).layer(limit).into_inner()
    });
    assert_eq!(app.passing(10, |_| from(request(), "192.0.2.1")).await, 2);
    assert_eq!(app.passing(10, |_| from(request(), "192.0.2.2")).await, 2);
    assert_eq!(app.passing(10, |_| from(bearer("alice"), "192.0.2.1")).await, 2);
    assert_eq!(app.send(request()).await.reason, Some("peer_unknown"));
}

#[tokio::test]
async fn a_limit_by_principal_without_an_auth_layer_lets_nobody_through() {
    for by in [By::principal(), By::tenant(), By::key(), By::metadata("plan")] {
        let app = Limited::new(|limiter| RateLimitLayer::new(limiter, by, daily(2)));
        let answer = app.send(from(bearer("alice"), "192.0.2.1")).await;
        assert_eq!((answer.status.as_u16(), answer.reason), (500, Some("auth_layer_missing")));
    }
}

#[tokio::test]
async fn routes_are_counted_as_they_are_matched_and_not_as_they_are_spelled() {
    let limiter = LocalRateLimiter::default();
    let by = By::peer().and(By::route());
    let app = Router::new()
        .route("/items/{id}", get(async || "item"))
        .route("/search", get(async || "found"))
        .fallback(async || "nothing")
        .layer(RateLimitLayer::new(limiter, by, daily(2)));
    let mut passing = Vec::new();
    for path in ["/items/1", "/items/2", "/items/3", "/search", "/search?q=1", "/search", "/a", "/b", "/c"] {
        let request = from(Request::get(path), "192.0.2.1").body(Body::empty()).unwrap();
        passing.push(app.clone().oneshot(request).await.unwrap().status().as_u16());
    }
    assert_eq!(passing, [200, 200, 429, 200, 200, 429, 200, 200, 429]);
}

#[tokio::test]
async fn a_key_of_ones_own_is_possible() {
    let by = By::with(|head, key| {
        key.push("host", head.uri.host().ok_or_else(|| Rejection::new(RejectionKind::Malformed, "no_host"))?);
        Ok(())
    });
    let app = Limited::new(|limiter| RateLimitLayer::new(limiter, by, daily(2)));
    let to = |host: &str| Request::builder().uri(format!("http://{host}/"));
    assert_eq!(app.passing(10, |_| to("one.example")).await, 2);
    assert_eq!(app.passing(10, |_| to("other.example")).await, 2);
    assert_eq!(app.send(request()).await.reason, Some("no_host"));
}

#[tokio::test]
async fn layers_with_the_same_limiter_key_and_quota_share_a_count_and_others_do_not() {
    let limiter = LocalRateLimiter::default();
    let app = |quota: Quota| Limited::of(RateLimitLayer::new(limiter.clone(), By::peer(), quota));
    let (one, same) = (app(daily(2)), app(daily(2)));
    assert_eq!(one.passing(1, |_| from(request(), "192.0.2.1")).await, 1);
    assert_eq!(same.passing(5, |_| from(request(), "192.0.2.1")).await, 1);
    assert_eq!(app(daily(3)).passing(5, |_| from(request(), "192.0.2.1")).await, 3);
    assert_eq!(app(daily(2).named("other")).passing(5, |_| from(request(), "192.0.2.1")).await, 2);
}

#[tokio::test]
async fn the_tier_chooses_the_plan_and_an_unknown_one_has_the_smallest() {
    let app = inside(|limiter| {
        let layer = RateLimitLayer::new(limiter, By::principal(), daily(1).named("free"));
        layer.tier("pro", daily(3).named("pro")).tier("team", Plan::new([daily(5).named("team")]).unwrap())
    });
    assert_eq!(app.passing(10, |_| bearer("alice/acme/pro")).await, 3);
    assert_eq!(app.passing(10, |_| bearer("bob/acme/team")).await, 5);
    assert_eq!(app.passing(10, |_| bearer("carol/acme/gold")).await, 1);
    assert_eq!(app.passing(10, |_| bearer("dave")).await, 1);
    assert!(app.send(bearer("dave")).await.header("ratelimit-policy").unwrap().starts_with("\"free\""));
}

#[tokio::test]
async fn a_closure_chooses_the_plan_by_what_the_key_says() {
    let large = Plan::from(daily(4).named("large"));
    let app = inside(|limiter| {
        let choose = move |caller: &Principal| {
            caller.metadata().get("plan").filter(|plan| &***plan == "large").map(|_| large.clone())
        };
        RateLimitLayer::new(limiter, By::principal(), daily(1)).tier("pro", daily(2).named("pro")).choose(choose)
    });
    assert_eq!(app.passing(10, |_| bearer("alice/a/pro/k/large")).await, 4);
    assert_eq!(app.passing(10, |_| bearer("bob/a/pro/k/small")).await, 2);
    assert_eq!(app.passing(10, |_| bearer("carol/a/b/k/small")).await, 1);
}

#[tokio::test]
async fn a_key_of_the_store_brings_its_tier() {
    let limit = |limiter| RateLimitLayer::new(limiter, By::key(), daily(1)).tier("pro", daily(3).named("pro"));
    let stack = Stack::new();
    let (_, pro) = stack.mint(NewKey::new("alice").tier("pro")).await;
    let (_, free) = stack.mint(NewKey::new("alice")).await;
    let auth = AuthLayer::new(stack.keys.clone()).clock(stack.clock.clone());
    let app = Limited::new(|limiter| ServiceBuilder::new().layer(auth).layer(limit(limiter)).into_inner());
    assert_eq!(app.passing(10, |_| bearer(pro.expose())).await, 3);
    assert_eq!(app.passing(10, |_| bearer(free.expose())).await, 1);
}

#[tokio::test]
async fn an_expensive_request_costs_more_and_a_free_one_nothing() {
    // (120)
    let app = Limited::new(|limiter| {
        RateLimitLayer::new(limiter, By::peer(), daily(20)).cost(|head| match head.uri.path() {
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
        let layer = RateLimitLayer::new(limiter, By::principal(), daily(1));
        let layer = layer.exempt(Exempt::path("/health")).exempt(Exempt::subject("monitor"));
        layer.exempt(Exempt::tenant("internal")).exempt(Exempt::tier("unmetered"))
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
        let layer = RateLimitLayer::new(limiter, By::everybody(), daily(1));
        layer.exempt(Exempt::peer("10.0.0.0/8".parse().unwrap()))
    });
    assert_eq!(app.passing(3, |_| from(bearer("alice").header("x-forwarded-for", "10.0.0.1"), "192.0.2.1")).await, 1);
    assert_eq!(app.passing(3, |_| from(bearer("alice"), "10.0.0.1")).await, 3);
}

#[tokio::test]
async fn a_scope_exempts_its_holders() {
    let app = |scope: &str| {
        let rule = Exempt::scope(Scope::parse(scope).unwrap());
        inside(|limiter| RateLimitLayer::new(limiter, By::principal(), daily(1)).exempt(rule))
    };
    assert_eq!(app("read").passing(3, |_| bearer("alice")).await, 3);
    assert_eq!(app("write").passing(3, |_| bearer("alice")).await, 1);
}

#[tokio::test]
async fn no_header_of_the_clients_makes_an_exemption_or_a_new_quota() {
    // (122)
    let app = inside(|limiter| {
        RateLimitLayer::new(limiter, By::principal(), daily(1)).tier("pro", daily(1_000)).exempt(Exempt::tier("staff"))
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
            .layer(AuthLayer::new(Named).clock(clock.clone()))
            .layer(RateLimitLayer::new(limiter, By::principal(), Quota::per_minute(1)))
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
    let app = inside(|limiter| RateLimitLayer::new(limiter, By::principal(), daily(1)));
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
            .layer(RateLimitLayer::new(limiter, By::principal(), daily(1)))
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

/// With a failure limit of so many a day outside of an `AuthLayer`.
fn guarded(failures: u32) -> Limited {
    Limited::new(|limiter| {
        let limit = FailureLimitLayer::new(limiter, By::peer(), daily(failures).named("failures"));
        ServiceBuilder::new().layer(limit).layer(AuthLayer::new(Named)).into_inner()
    })
}

#[tokio::test]
async fn too_many_bad_credentials_are_429_and_a_good_one_behind_the_same_address_passes() {
    // (121)
    let app = guarded(3);
    for _ in 0..3 {
        let refused = app.send(from(bearer("bad"), "192.0.2.1")).await;
        assert_eq!((refused.status.as_u16(), refused.reason), (401, Some("bad")));
        assert!(refused.header("ratelimit").is_none());
    }
    for _ in 0..3 {
        let refused = app.send(from(bearer("bad"), "192.0.2.1")).await;
        assert_eq!((refused.status.as_u16(), refused.reason), (429, Some("failures_exceeded")));
        assert_eq!(refused.header("retry-after"), Some("28800"));
        assert_eq!(refused.header("www-authenticate"), None);
        assert_eq!(refused.json()["violated-policies"], serde_json::json!(["failures"]));
        assert_eq!(app.status(from(bearer("alice"), "192.0.2.1")).await, 200);
    }
    assert_eq!(app.status(from(bearer("bad"), "192.0.2.2")).await, 401);
}

#[tokio::test]
async fn good_credentials_and_none_cost_nothing_of_the_failures() {
    // (121)
    let app = guarded(1);
    for _ in 0..10 {
        assert_eq!(app.status(from(bearer("alice"), "192.0.2.1")).await, 200);
        assert_eq!(app.status(from(request(), "192.0.2.1")).await, 401);
    }
    assert_eq!(app.status(from(bearer("bad"), "192.0.2.1")).await, 401);
    assert_eq!(app.status(from(bearer("bad"), "192.0.2.1")).await, 429);
}

#[tokio::test]
async fn malformed_credentials_are_failures_too() {
    let app = guarded(1);
    let two = || from(bearer("alice").header("x-api-key", "alice"), "192.0.2.1");
    assert_eq!((app.status(two()).await, app.status(two()).await), (400, 429));
}

#[tokio::test]
async fn a_refusal_for_another_reason_is_no_failure() {
    let app = Limited::new(|limiter| {
        ServiceBuilder::new()
            .layer(FailureLimitLayer::new(limiter, By::peer(), daily(1)))
            .layer(AuthLayer::new(Named))
            .layer(AuthorizeLayer::all_of([Scope::parse("write").unwrap()]))
            .into_inner()
    });
    for _ in 0..5 {
        assert_eq!(app.status(from(bearer("alice"), "192.0.2.1")).await, 403);
    }
}

/// A limiter that answers later, or not at all.
#[derive(Clone, Copy)]
enum Far {
    Down,
    Panics,
    Works,
}

impl RateLimiter for Far {
    fn take(&self, ask: &Ask<'_>) -> Eventual<Result<Decision, Unavailable>> {
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
        let app = Limited::of(RateLimitLayer::new(far, By::everybody(), daily(1)));
        let answer = app.send(request()).await;
        assert_eq!((answer.status.as_u16(), answer.reason), (status, reason));
        assert_eq!(answer.header("ratelimit").is_some(), status == 200);
    }
    for (far, status) in [(Far::Works, 401), (Far::Down, 503), (Far::Panics, 500)] {
        let layer = FailureLimitLayer::new(far, By::everybody(), daily(1));
        let app = Limited::of(ServiceBuilder::new().layer(layer).layer(AuthLayer::new(Named)).into_inner());
        assert_eq!(app.status(bearer("bad")).await, status);
        assert_eq!(app.status(bearer("alice")).await, 200, "a good credential does not ask it");
    }
}

/// At most so many at once, in a service whose handler never ends for `/hang`.
fn crowded(most: u32) -> BoxCloneSyncService<Request<Full<Bytes>>, Response<HeldBody<Full<Bytes>>>, Infallible> {
    let handler = service_fn(async |request: Request<Full<Bytes>>| match request.uri().path() {
        "/hang" => std::future::pending().await,
        "/panic" => panic!("the handler panics"),
        _ => answer(request).await,
    });
    let layer =
        ConcurrencyLayer::new(By::principal(), NonZeroU32::new(most).unwrap()).exempt(Exempt::subject("monitor"));
    let stack = ServiceBuilder::new().layer(AuthLayer::new(Named)).layer(layer);
    BoxCloneSyncService::new(stack.service(handler))
}

#[tokio::test]
async fn requests_in_flight_are_limited_until_their_bodies_end() {
    let service = crowded(2);
    let call = |who: &str| service.clone().oneshot(bearer(who).body(Full::default()).unwrap());
    let (first, second) = (call("alice").await.unwrap(), call("alice").await.unwrap());
    assert_eq!((first.status(), second.status()), (http::StatusCode::OK, http::StatusCode::OK));
    let refused = Answer::read(call("alice").await.unwrap()).await;
    assert_eq!((refused.status.as_u16(), refused.reason), (429, Some("too_many_in_flight")));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.json()["violated-policies"], serde_json::json!(["concurrency"]));
    assert_eq!(call("bob").await.unwrap().status(), 200);
    assert_eq!(call("monitor").await.unwrap().status(), 200);

    // Read to its end, and held on to.
    let (_, mut body) = first.into_parts();
    body.frame().await.unwrap().unwrap();
    let third = call("alice").await.unwrap();
    assert_eq!(third.status(), 200);
    assert_eq!(call("alice").await.unwrap().status(), 429);
    drop(second);
    assert_eq!(call("alice").await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_dropped_future_and_a_panic_are_in_flight_no_more() {
    let service = crowded(1);
    let call = |path: &str| service.clone().oneshot(bearer("alice").uri(path).body(Full::default()).unwrap());
    for _ in 0..3 {
        let hanging = tokio::time::timeout(Duration::from_millis(1), call("/hang"));
        assert!(hanging.await.is_err());
        assert!(tokio::spawn(call("/panic")).await.is_err());
        assert_eq!(call("/").await.unwrap().status(), 200);
    }
    let mut hanging = Box::pin(call("/hang"));
    assert!(futures_util::poll!(hanging.as_mut()).is_pending());
    assert_eq!(call("/").await.unwrap().status(), 429);
    drop(hanging);
    assert_eq!(call("/").await.unwrap().status(), 200);
}

#[tokio::test]
async fn layers_around_a_concurrency_limit_still_refuse_with_a_body() {
    let service = ServiceBuilder::new()
        .layer(RateLimitLayer::new(LocalRateLimiter::default(), By::everybody(), daily(1)))
        .layer(ConcurrencyLayer::new(By::everybody(), NonZeroU32::MIN))
        .service_fn(answer);
    let call = || service.clone().oneshot(request().body(Full::default()).unwrap());
    assert_eq!(Answer::read(call().await.unwrap()).await.body, "nobody");
    assert_eq!(Answer::read(call().await.unwrap()).await.json()["code"], "quota_exceeded");
}

#[tokio::test]
async fn limits_in_an_axum_app() {
    let limiter = LocalRateLimiter::default();
    let stack = ServiceBuilder::new()
        .layer(RateLimitLayer::new(limiter.clone(), By::peer(), daily(100).named("peer")))
        .layer(FailureLimitLayer::new(limiter.clone(), By::peer(), daily(1).named("failures")))
        .layer(AuthLayer::new(Named))
        .layer(RateLimitLayer::new(limiter, By::principal(), daily(1)))
        .layer(ConcurrencyLayer::new(By::principal(), NonZeroU32::MIN));
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
