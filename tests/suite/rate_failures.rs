//! Too many bad credentials, and too many requests at once.

use std::{convert::Infallible, error::Error, num::NonZeroU32, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_warden::{
    Environment, ManualClock, Reason, Rejection,
    layer::{AuthLayer, AuthorizeLayer, ConcurrencyLayer, FailureLimitLayer, RateLimitLayer},
    rate_limit::{Exempt, InFlightBody, LimitBy, LocalRateLimiter, Quota, UtcOffset},
    scope::Scope,
};

use crate::{
    rate_limits::{Limited, Named, daily, from, named},
    support::{Answer, START, Stack, answer, bearer, request},
};

/// With a failure limit of so many a day outside of an `AuthLayer`.
fn guarded(failures: u32) -> Limited {
    Limited::new(|limiter| {
        let limit = FailureLimitLayer::new("failures", limiter, LimitBy::peer(), daily(failures).named("failures"));
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
async fn guess_that_hits_is_admitted_while_the_limit_on_failures_is_exceeded() {
    let app = guarded(10);
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for number in 0..1_000 {
        let guess = if number == 700 { "alice" } else { "bad" };
        *statuses.entry(app.status(from(bearer(guess), "192.0.2.1")).await).or_default() += 1;
    }
    // As documented: others behind the same address are not locked out, so a hit is not hidden either.
    assert_eq!(statuses, [(200, 1), (401, 10), (429, 989)].into());
}

#[tokio::test]
async fn a_revoked_key_behind_the_limit_is_reported_as_revoked() {
    let stack = Stack::new();
    let (record, secret) = stack.alice().await;
    stack.keys.revoke(&record.id).await.unwrap();
    let limit =
        FailureLimitLayer::new("failures", LocalRateLimiter::default(), LimitBy::peer(), daily(1).named("failures"));
    let app = ServiceBuilder::new().layer(limit).layer(AuthLayer::new(stack.keys.clone())).service_fn(answer);
    let send = || {
        let request = from(bearer(secret.expose()), "192.0.2.1").body(Full::default()).unwrap();
        app.clone().oneshot(request)
    };
    assert_eq!(send().await.unwrap().status(), 401);

    let replaced = send().await.unwrap();
    let rejection: &Rejection = replaced.extensions().get().unwrap();
    assert_eq!((replaced.status().as_u16(), rejection.reason()), (429, Reason::FAILURES_EXCEEDED));
    let cause = rejection.cause().unwrap();
    assert_eq!((cause.reason(), cause.status().as_u16()), (Reason::KEY_REVOKED, 401));
    assert_eq!(rejection.source().unwrap().to_string(), "401 invalid_token (key_revoked)");
    assert!(cause.cause().is_none());
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
async fn failures_are_counted_in_the_calendar_day_of_the_clock_of_the_environment() {
    // (121) Midnight is 16 hours later.
    let clock = ManualClock::at(START);
    let app = Limited::new(|limiter| {
        let day = Quota::per_calendar_day(1, UtcOffset::UTC);
        let limit = FailureLimitLayer::new("failures", limiter, LimitBy::peer(), day);
        let limit = limit.environment(&Environment::default().with_clock(clock.clone()));
        ServiceBuilder::new().layer(limit).layer(AuthLayer::new(Named)).into_inner()
    });
    let guess = || from(bearer("bad"), "192.0.2.1");
    assert_eq!(app.status(guess()).await, 401);
    let refused = app.send(guess()).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("57600")));
    clock.advance(Duration::from_secs(57_600));
    assert_eq!(app.status(guess()).await, 401);
}

#[tokio::test]
async fn malformed_credentials_are_failures_too() {
    let app = guarded(1);
    let two = || from(bearer("alice").header("authorization", "Bearer alice"), "192.0.2.1");
    assert_eq!((app.status(two()).await, app.status(two()).await), (400, 429));
}

#[tokio::test]
async fn a_refusal_for_another_reason_is_no_failure() {
    let app = Limited::new(|limiter| {
        ServiceBuilder::new()
            .layer(FailureLimitLayer::new("failures", limiter, LimitBy::peer(), daily(1)))
            .layer(AuthLayer::new(Named))
            .layer(AuthorizeLayer::all_of([Scope::parse("write").unwrap()]))
            .into_inner()
    });
    for _ in 0..5 {
        assert_eq!(app.status(from(bearer("alice"), "192.0.2.1")).await, 403);
    }
}

/// At most so many at once, in a service whose handler never ends for `/hang`.
fn crowded(most: u32) -> BoxCloneSyncService<Request<Full<Bytes>>, Response<InFlightBody<Full<Bytes>>>, Infallible> {
    let handler = service_fn(async |request: Request<Full<Bytes>>| match request.uri().path() {
        "/hang" => std::future::pending().await,
        "/panic" => panic!("the handler panics"),
        _ => answer(request).await,
    });
    let layer = ConcurrencyLayer::new(LimitBy::principal(), NonZeroU32::new(most).unwrap())
        .exempt(Exempt::subject(named(), "monitor"));
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
        .layer(RateLimitLayer::new("calls", LocalRateLimiter::default(), LimitBy::global(), daily(1)))
        .layer(ConcurrencyLayer::new(LimitBy::global(), NonZeroU32::MIN))
        .service_fn(answer);
    let call = || service.clone().oneshot(request().body(Full::default()).unwrap());
    assert_eq!(Answer::read(call().await.unwrap()).await.body, "nobody");
    assert_eq!(Answer::read(call().await.unwrap()).await.json()["code"], "quota_exceeded");
}
