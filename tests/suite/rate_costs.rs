//! Costs that are known after the response, and failures that a handler reports.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    Environment, Eventual, ManualClock, Reason, Rejection, Unavailable, UnixTime,
    layer::{FailureLimitLayer, RateLimitLayer},
    rate_limit::{
        Decision, Exempt, LimitBy, LimitCharge, LimitKey, LimitRequest, LocalRateLimiter, ManualStopwatch, Quota,
        QuotaSet, RateLimiter, nonzero,
        shared::{ExhaustedKeys, LimitState},
    },
};

use crate::support::{Answer, request, seconds};

/// What a handler reports in the response's extensions.
#[derive(Clone, Copy)]
struct Tokens(u32);

/// Responds to `/status/500` with that status, and to `/tokens/30` with that number of tokens.
async fn handle(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    let mut parts = request.uri().path().split('/').skip(1);
    match (parts.next(), parts.next().map(|number| number.parse().unwrap())) {
        (Some("status"), Some(status)) => *response.status_mut() = http::StatusCode::from_u16(status).unwrap(),
        (Some("tokens"), Some(tokens)) => drop(response.extensions_mut().insert(Tokens(tokens.into()))),
        _ => {}
    }
    Ok(response)
}

async fn get(layer: &RateLimitLayer, path: &str) -> Answer {
    let service = layer.layer(service_fn(handle));
    Answer::read(service.oneshot(request().uri(path).body(Full::default()).unwrap()).await.unwrap()).await
}

fn limited(quota: Quota) -> (RateLimitLayer, ManualStopwatch) {
    let stopwatch = ManualStopwatch::default();
    let limiter = LocalRateLimiter::default().stopwatch(stopwatch.clone());
    (RateLimitLayer::new("calls", limiter, LimitBy::global(), quota), stopwatch)
}

fn by_tokens(layer: RateLimitLayer) -> RateLimitLayer {
    layer.final_cost(|response, cost| match response.extensions.get::<Tokens>() {
        _ if response.status.is_server_error() => 0,
        Some(Tokens(tokens)) => *tokens,
        None => cost,
    })
}

/// Requests that begin in the last second of a minute, of which each costs 30 units, and the clock that selects minutes.
fn at_the_end_of_a_minute() -> (RateLimitLayer, ManualClock) {
    let (limit, clock) = (Quota::per_minute(100).fixed_window(), ManualClock::at(UnixTime::from_secs(59)));
    (limited(limit).0.environment(&Environment::default().with_clock(clock.clone())), clock)
}

#[tokio::test]
async fn charge_after_the_end_of_a_window_is_one_of_the_next_window() {
    let (layer, clock) = at_the_end_of_a_minute();
    let late = clock.clone();
    let final_cost = layer.clone().final_cost(move |_, _| {
        late.set(UnixTime::from_secs(62));
        90
    });
    assert_eq!(get(&final_cost, "/").await.status, 200);
    assert_eq!(remaining(&layer).await, "r=10", "the unit of the admission is one of the first window");

    let (layer, clock) = at_the_end_of_a_minute();
    let charge = admitted(&layer).await;
    clock.set(UnixTime::from_secs(62));
    charge.charge(40).wait().await.unwrap();
    // Those of the admission were returned with the end of the window, and those of the charge are not returned by it.
    charge.refund(41).wait().await.unwrap();
    assert_eq!(remaining(&layer).await, "r=59");
    // A clock that is set back charges the window of the admission.
    let charge = admitted(&layer).await;
    clock.set(UnixTime::from_secs(59));
    charge.charge(40).wait().await.unwrap();
    clock.set(UnixTime::from_secs(62));
    assert_eq!(remaining(&layer).await, "r=17");
}

#[tokio::test]
async fn free_request_whose_cost_is_corrected_needs_one_unit() {
    let layer = by_tokens(limited(Quota::per_day(10)).0.cost(|_| 0));
    assert_eq!(get(&layer, "/tokens/10").await.status, 200);
    assert_eq!(get(&layer, "/tokens/10").await.status, 429);
    let layer = limited(Quota::per_day(10)).0.cost(|_| 0).with_charge();
    let charge = admitted(&layer).await;
    assert_eq!(charge.cost(), 1);
    charge.charge(9).wait().await.unwrap();
    assert_eq!(get(&layer, "/").await.status, 429);
    // Without corrections, nothing is counted.
    let layer = limited(Quota::per_day(1)).0.cost(|_| 0);
    for _ in 0..3 {
        assert_eq!(get(&layer, "/").await.status, 200);
    }
}

#[tokio::test]
async fn failure_of_the_handler_is_refunded() {
    let layer = by_tokens(limited(Quota::per_day(2)).0);
    for _ in 0..5 {
        assert_eq!(get(&layer, "/status/500").await.status, 500);
    }
    for expected in [200, 200, 429] {
        assert_eq!(get(&layer, "/").await.status, expected);
    }
}

#[tokio::test]
async fn tokens_of_a_model_are_charged_after_the_response() {
    let (layer, _) = limited(Quota::per_day(100));
    let layer = by_tokens(layer);
    assert_eq!(get(&layer, "/tokens/30").await.status, 200);
    assert_eq!(get(&layer, "/").await.header("ratelimit").unwrap().split(';').nth(1), Some("r=69"));
    assert_eq!(get(&layer, "/tokens/0").await.header("ratelimit").unwrap().split(';').nth(1), Some("r=68"));
    assert_eq!(get(&layer, "/").await.header("ratelimit").unwrap().split(';').nth(1), Some("r=68"), "a free one");
}

#[tokio::test]
async fn charge_above_what_is_available_is_made_up_for() {
    let (layer, stopwatch) = limited(Quota::per_minute(60));
    let layer = by_tokens(layer);
    assert_eq!(get(&layer, "/tokens/180").await.status, 200);
    let refused = get(&layer, "/").await;
    // One unit a second: 120 seconds for the units that were not available, and one for the next unit.
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("121")));
    stopwatch.advance(seconds(120));
    assert_eq!(get(&layer, "/").await.status, 429);
    stopwatch.advance(seconds(1));
    assert_eq!((get(&layer, "/").await.status.as_u16(), get(&layer, "/").await.status.as_u16()), (200, 429));
    // No cost is so high that the arithmetic overflows, and the caller is not locked out for ever.
    let (layer, stopwatch) = limited(Quota::per_second(1));
    let layer = layer.final_cost(|_, _| u32::MAX);
    assert_eq!(get(&layer, "/").await.status, 200);
    stopwatch.advance(seconds(u64::from(u32::MAX)));
    assert_eq!(get(&layer, "/").await.status, 200);
}

#[tokio::test]
async fn refund_of_a_cost_above_the_burst_returns_no_units_of_other_requests() {
    let (layer, _) = limited(Quota::per_day(10));
    let layer = by_tokens(layer.cost(|head| if head.uri.path() == "/" { 1 } else { 100 }));
    // The burst is taken, and five of it stay taken.
    assert_eq!(get(&layer, "/tokens/5").await.status, 200);
    for expected in [200, 200, 200, 200, 200, 429] {
        assert_eq!(get(&layer, "/").await.status, expected);
    }
}

#[tokio::test]
async fn handler_charges_and_refunds_by_the_handle_also_after_the_response() {
    let (layer, _) = limited(Quota::per_day(10));
    let layer = layer.with_charge().exempt(Exempt::path("/free"));
    let kept = Arc::new(Mutex::new(Vec::<LimitCharge>::new()));
    let handler = {
        let kept = Arc::clone(&kept);
        service_fn(move |request: Request<Full<Bytes>>| {
            kept.lock().unwrap().push(request.extensions().get::<LimitCharge>().unwrap().clone());
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        })
    };
    let get = async |path: &str| {
        let request = request().uri(path).body(Full::default()).unwrap();
        Answer::read(layer.layer(handler.clone()).oneshot(request).await.unwrap()).await
    };
    let remaining = async || get("/").await.header("ratelimit").map(str::to_owned);
    assert!(remaining().await.unwrap().contains("r=9;"));
    let charge = kept.lock().unwrap()[0].clone();
    assert_eq!(charge.cost(), 1);
    charge.charge(4).wait().await.unwrap();
    assert_eq!(charge.cost(), 5);
    assert!(remaining().await.unwrap().contains("r=4;"));
    charge.clone().refund(3).wait().await.unwrap();
    assert!(remaining().await.unwrap().contains("r=6;"));
    // Only what this request has cost is returned: two are left of it.
    charge.refund(u32::MAX).wait().await.unwrap();
    charge.refund(u32::MAX).wait().await.unwrap();
    assert_eq!(charge.cost(), 0);
    assert!(remaining().await.unwrap().contains("r=7;"));
    charge.charge(2).wait().await.unwrap();
    assert!(remaining().await.unwrap().contains("r=4;"));

    assert_eq!(get("/free").await.status, 200);
    let exempt = kept.lock().unwrap().last().unwrap().clone();
    exempt.charge(1_000).wait().await.unwrap();
    assert_eq!(exempt.cost(), 0);
    assert!(remaining().await.unwrap().contains("r=3;"));
}

/// The handle of a request that was admitted under this layer.
async fn admitted(layer: &RateLimitLayer) -> LimitCharge {
    let handler = service_fn(async |request: Request<Full<Bytes>>| {
        let mut response = Response::new(Full::<Bytes>::default());
        response.extensions_mut().insert(request.extensions().get::<LimitCharge>().unwrap().clone());
        Ok::<_, Infallible>(response)
    });
    let request = request().body(Full::default()).unwrap();
    layer.clone().with_charge().layer(handler).oneshot(request).await.unwrap().extensions().get().cloned().unwrap()
}

async fn remaining(layer: &RateLimitLayer) -> String {
    get(layer, "/").await.header("ratelimit").unwrap().split(';').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn each_of_many_charges_takes_its_units_and_no_more() {
    let (layer, stopwatch) = limited(Quota::per_hour(100));
    let charge = admitted(&layer).await;
    for _ in 0..300 {
        charge.charge(1).wait().await.unwrap();
    }
    // 301 units are taken: 201 are made up for, and then one comes back.
    let refused = get(&layer, "/").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("7272")));
    stopwatch.advance(seconds(36 * 202));
    assert_eq!(get(&layer, "/").await.status, 200);
}

#[tokio::test]
async fn charge_above_the_burst_is_refunded_as_a_whole() {
    let (layer, _) = limited(Quota::per_hour(100));
    let charge = admitted(&layer).await;
    charge.charge(500).wait().await.unwrap();
    charge.refund(500).wait().await.unwrap();
    assert_eq!(remaining(&layer).await, "r=98");
}

#[tokio::test]
async fn refund_of_a_cost_above_the_burst_takes_no_units() {
    let (layer, stopwatch) = limited(Quota::per_second(10));
    let layer = layer.cost(|head| if head.uri.path() == "/" { 100 } else { 1 });
    let charge = admitted(&layer).await;
    charge.refund(1).wait().await.unwrap();
    charge.charge(1).wait().await.unwrap();
    charge.refund(1).wait().await.unwrap();
    assert_eq!(charge.cost(), 99);
    assert_eq!(get(&layer, "/one").await.header("retry-after"), Some("1"));
    stopwatch.advance(seconds(1));
    assert_eq!(get(&layer, "/").await.status, 200, "the whole burst is available again");
    let refused = get(&layer, "/one").await;
    assert_eq!(refused.status, 429);
    charge.refund(u32::MAX).wait().await.unwrap();
    assert_eq!(charge.cost(), 0);
}

#[test]
fn charges_and_refunds_that_lead_back_to_a_cost_change_nothing_in_every_quota() {
    for quota in [Quota::per_hour(100), Quota::per_hour(100).fixed_window(), Quota::per_hour(100).sliding()] {
        let (key, quotas) = (LimitKey::default(), QuotaSet::from([quota, Quota::per_day(10)]));
        let now = UnixTime::from_secs(1_800_000_000);
        let request = LimitRequest::new(&key, &quotas).at(now).cost(nonzero(50));
        assert_eq!(request.differences(70).collect::<Vec<_>>(), [20, 20]);
        assert_eq!(request.settled(70).differences(50).collect::<Vec<_>>(), [-20, -20]);
        assert_eq!(request.settled(50).differences(5).collect::<Vec<_>>(), [-45, -5]);
        assert_eq!(request.settled(0).differences(50).collect::<Vec<_>>(), [50, 10]);
        let limiter = LocalRateLimiter::default().stopwatch(ManualStopwatch::default());
        assert!(matches!(limiter.take_share(&request, nonzero(1)), Decision::Admitted(_)));
        for (from, to) in [(50, 49), (49, 500), (500, 0), (0, 300), (300, 3)] {
            limiter.settle_share(&request.settled(from), to, nonzero(1));
        }
        let Decision::Admitted(status) = limiter.take_share(&request.cost(nonzero(1)), nonzero(1)) else { panic!() };
        // A quota that is refunded more than it has counted forgets nothing else: three and one are taken.
        assert_eq!(status.remaining, 6);
    }
}

/// A limiter whose store does not answer corrections, or never does.
struct Failing {
    limiter: LocalRateLimiter,
    answers: bool,
}

impl RateLimiter for Failing {
    fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        self.limiter.take(request)
    }

    fn settle(&self, request: &LimitRequest<'_>, cost: u32) -> Eventual<Result<(), Unavailable>> {
        match cost {
            1_000.. if self.answers => Eventual::later(async { Err(Unavailable::new("the store")) }),
            1_000.. => Eventual::later(std::future::pending()),
            _ => self.limiter.settle(request, cost),
        }
    }
}

#[tokio::test]
async fn charge_that_failed_or_was_dropped_is_not_refunded() {
    for answers in [true, false] {
        let limiter = Failing { limiter: LocalRateLimiter::default(), answers };
        let layer = RateLimitLayer::new("calls", limiter, LimitBy::global(), Quota::per_day(10));
        for _ in 0..5 {
            assert_eq!(get(&layer, "/").await.status, 200);
        }
        let charge = admitted(&layer).await;
        let charged = tokio::time::timeout(seconds(0), charge.charge(1_000).wait()).await;
        assert!(!charged.is_ok_and(|charged| charged.is_ok()));
        assert_eq!(charge.cost(), 1);
        charge.refund(1_000).wait().await.unwrap();
        assert_eq!(remaining(&layer).await, "r=4", "the units of other requests are taken");
    }
}

/// A limiter that returns units later, and fails at first.
struct Late(LocalRateLimiter, std::sync::atomic::AtomicBool);

impl RateLimiter for Late {
    fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        self.0.take(request)
    }

    fn settle(&self, request: &LimitRequest<'_>, cost: u32) -> Eventual<Result<(), Unavailable>> {
        let fails = self.1.swap(false, std::sync::atomic::Ordering::Relaxed);
        let settled =
            if fails { Eventual::Now(Err(Unavailable::new("the store"))) } else { self.0.settle(request, cost) };
        Eventual::later(async move { settled.wait().await })
    }
}

#[tokio::test]
async fn refund_that_failed_can_be_repeated_and_concurrent_ones_return_nothing_twice() {
    let limiter = Late(LocalRateLimiter::default(), true.into());
    let layer = RateLimitLayer::new("calls", limiter, LimitBy::global(), Quota::per_day(10));
    for _ in 0..5 {
        assert_eq!(get(&layer, "/").await.status, 200);
    }
    let charge = admitted(&layer).await;
    assert!(charge.refund(1).wait().await.is_err());
    assert_eq!(charge.cost(), 1);
    let (one, other) = (charge.refund(1), charge.refund(1));
    one.wait().await.unwrap();
    other.wait().await.unwrap();
    assert_eq!((charge.cost(), remaining(&layer).await.as_str()), (0, "r=4"));
}

/// A limiter that corrects no costs, or fails at that.
struct Plain {
    limiter: LocalRateLimiter,
    fails: bool,
}

impl RateLimiter for Plain {
    fn take(&self, request: &LimitRequest<'_>) -> Eventual<Result<Decision, Unavailable>> {
        if self.fails && request.cost.get() > 1 {
            return Eventual::later(async { Err(Unavailable::new("the plain limiter")) });
        }
        self.limiter.take(request)
    }
}

#[tokio::test]
async fn limiter_that_corrects_no_costs_takes_what_is_available() {
    let plain = |fails| Plain { limiter: LocalRateLimiter::default(), fails };
    let layer = by_tokens(RateLimitLayer::new("calls", plain(false), LimitBy::global(), Quota::per_day(10)));
    assert_eq!(get(&layer, "/tokens/5").await.status, 200);
    assert_eq!(get(&layer, "/tokens/100").await.status, 200);
    assert_eq!(get(&layer, "/").await.status, 200, "a cost that is not available is not taken");
    let layer = by_tokens(RateLimitLayer::new("calls", plain(true), LimitBy::global(), Quota::per_day(10)));
    assert_eq!(get(&layer, "/tokens/5").await.status, 200, "the response is passed on if the limiter fails");
}

#[tokio::test]
async fn closure_that_panics_is_500() {
    let (layer, _) = limited(Quota::per_day(10));
    let answer = get(&layer.final_cost(|_, _| panic!("the closure panics")), "/").await;
    answer.assert_reason(500, "panicked");
}

#[test]
fn corrected_cost_is_that_of_a_request_of_this_cost_in_every_store() {
    let (key, quotas) = (LimitKey::default(), QuotaSet::from([Quota::per_hour(100), Quota::per_day(40)]));
    for (taken, cost) in [(1, 0), (1, 1), (1, 7), (40, 3), (60, 20), (200, 1), (5, 39), (1, 400)] {
        let request = LimitRequest::new(&key, &quotas).cost(nonzero(taken));
        let limiter = LocalRateLimiter::default().stopwatch(ManualStopwatch::default());
        assert!(matches!(limiter.take_share(&request, nonzero(1)), Decision::Admitted(_)));
        limiter.settle_share(&request, cost, nonzero(1));
        let mut state = LimitState::new(&request, []);
        assert!(matches!(state.take(), Decision::Admitted(_)));
        state.settle(cost);
        let stored: Vec<_> = state.until_tats().collect();
        let next = LimitRequest::new(&key, &quotas);
        let mut state = LimitState::new(&next, stored.iter().copied()).with_debt();
        assert_eq!(state.take(), limiter.take_share(&next, nonzero(1)), "{taken} and then {cost}");
        if cost <= 40 {
            let direct = LocalRateLimiter::default().stopwatch(ManualStopwatch::default());
            if let Some(cost) = std::num::NonZeroU32::new(cost) {
                let _ = direct.take_share(&next.cost(cost), nonzero(1));
            }
            let Decision::Admitted(expected) = direct.take_share(&next, nonzero(1)) else { continue };
            let Decision::Admitted(status) = state.take() else { continue };
            assert_eq!(status.remaining + 1, expected.remaining, "{taken} and then {cost}");
        }
    }
}

#[test]
fn exhausted_key_is_forgotten_after_a_refund() {
    let (key, quotas) = (LimitKey::default(), QuotaSet::from(Quota::per_day(1)));
    let (request, exhausted) = (LimitRequest::new(&key, &quotas), ExhaustedKeys::bounded(100));
    let mut state = LimitState::new(&request, []);
    let _ = state.take();
    exhausted.record(&state, seconds(1));
    assert!(exhausted.state(&request, seconds(1)).exceeded().is_some());
    exhausted.forget(&request, seconds(1));
    assert!(exhausted.state(&request, seconds(1)).exceeded().is_none());
}

#[tokio::test]
async fn failures_that_the_handler_reports_are_counted_if_the_closure_says_so() {
    let layer = || {
        let limit = FailureLimitLayer::new("logins", LocalRateLimiter::default(), LimitBy::global(), Quota::per_day(2));
        limit.count_when(|response| [401, 404].contains(&response.status.as_u16()))
    };
    let get = async |layer: &FailureLimitLayer, path: &str| {
        let service = layer.layer(service_fn(handle));
        service.oneshot(request().uri(path).body(Full::default()).unwrap()).await.unwrap()
    };
    let layer_of_logins = layer();
    for (path, expected) in [
        ("/", 200),
        ("/status/500", 500),
        ("/status/403", 403),
        ("/status/401", 401),
        ("/status/404", 404),
        ("/status/404", 429),
        ("/status/401", 429),
        ("/status/403", 403),
        ("/", 200),
    ] {
        let response = get(&layer_of_logins, path).await;
        assert_eq!(response.status(), expected, "{path}");
        if expected == 429 {
            let rejection: &Rejection = response.extensions().get().unwrap();
            assert_eq!(rejection.reason(), Reason::FAILURES_EXCEEDED);
            assert!(rejection.cause().is_none() && response.headers().contains_key("retry-after"));
        }
    }
    // Without the closure, only refused credentials are failures; fields do not reset it.
    let plain = FailureLimitLayer::new("logins", LocalRateLimiter::default(), LimitBy::global(), Quota::per_day(2));
    for _ in 0..5 {
        assert_eq!(get(&plain, "/status/401").await.status(), 401);
    }
    let silent = layer().fields(tower_warden::rate_limit::RateLimitFields::Silent);
    for expected in [404, 404, 429] {
        assert_eq!(get(&silent, "/status/404").await.status(), expected);
    }
}
