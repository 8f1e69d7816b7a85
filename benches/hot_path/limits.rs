//! Rate limits on one node, beside governor and tower_governor.

use std::{
    convert::Infallible,
    future::Ready,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
};

use axum::{body::Body, extract::ConnectInfo};
use governor::{DefaultKeyedRateLimiter, RateLimiter as Governor};
use http::{Request, Response};
use tower::{Layer, Service, service_fn, util::ServiceFn};
use tower_governor::{GovernorLayer, governor::GovernorConfigBuilder};
use tower_warden::{
    Eventual,
    layer::{FailureLimitLayer, RateLimitLayer},
    rate_limit::{
        Decision, LimitBy, LimitKey, LimitRequest, LocalRateLimiter, Quota, QuotaSet, RateLimitFields, RateLimiter,
    },
};

use crate::{
    counting::bytes,
    fixture::call,
    measure::{Budget, Effort, Side, medians, prepared, row, side, table},
    threads,
};

/// So many addresses are used in turn.
const KEYS: u32 = 64;

/// So large that nobody is refused.
pub(crate) const MANY: u32 = 1_000_000_000;

fn address(index: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + index))
}

fn key(index: u32) -> LimitKey {
    let mut key = LimitKey::default();
    key.push("ipv4", (0x0a00_0000 + index).to_be_bytes());
    key
}

fn governor() -> DefaultKeyedRateLimiter<IpAddr> {
    Governor::keyed(governor::Quota::per_second(NonZeroU32::new(MANY).unwrap()))
}

fn plan() -> QuotaSet {
    QuotaSet::from(Quota::per_second(MANY))
}

fn take(limiter: &LocalRateLimiter, key: &LimitKey, plan: &QuotaSet) {
    match limiter.take(&LimitRequest::new(key, plan)) {
        Eventual::Now(Ok(Decision::Admitted(_))) => {}
        _ => panic!("it is admitted at once"),
    }
}

/// Numbers from zero, round and round.
fn round(count: u32) -> impl FnMut() -> u32 {
    let mut next = 0;
    move || {
        next = (next + 1) % count;
        next
    }
}

/// A decision, with nothing around it; the key is made each time, as for each request.
pub(crate) fn one_key_after_the_other(effort: Effort) {
    let (local, governor, plan) = (LocalRateLimiter::default(), governor(), plan());
    let both = QuotaSet::new([Quota::per_second(MANY), Quota::per_minute(MANY)]).unwrap();
    let (mut a, mut b, mut c) = (round(KEYS), round(KEYS), round(KEYS));
    let [theirs, ours, two] = medians(
        effort.rounds,
        [
            side(|| governor.check_key(&address(a())).unwrap()),
            side(|| take(&local, &key(b()), &plan)),
            side(|| take(&local, &key(c()), &both)),
        ],
    );
    table("A decision of a limiter on one node");
    let floor = "governor's keyed check (unbounded)";
    row("LocalRateLimiter::take, one quota", ours, floor, theirs, Budget::AtMost(1.5));
    row("LocalRateLimiter::take, two quotas", two, floor, theirs, Budget::Open);
}

/// Whole layers.
pub(crate) fn layers(effort: Effort) {
    let mut builder = GovernorConfigBuilder::default();
    builder.per_nanosecond(1).burst_size(MANY);
    let (terse, telling) = (builder.finish().unwrap(), builder.use_headers().finish().unwrap());
    let limit = || RateLimitLayer::new("peers", LocalRateLimiter::default(), LimitBy::peer(), plan());
    let failures = FailureLimitLayer::new("failures", LocalRateLimiter::default(), LimitBy::peer(), plan());
    let [bare, silent, draft, failures, terse, telling] = medians(
        effort.rounds,
        [
            requests(tower::layer::util::Identity::new()),
            requests(limit().fields(RateLimitFields::Silent)),
            requests(limit()),
            requests(failures),
            requests(GovernorLayer::new(terse)),
            requests(GovernorLayer::new(telling)),
        ],
    );
    table("A whole layer by peer, above the bare service");
    let floor = "tower_governor, without fields";
    row("RateLimitLayer, without fields", silent - bare, floor, terse - bare, Budget::AtMost(1.5));
    row("FailureLimitLayer, nothing fails", failures - bare, floor, terse - bare, Budget::Open);
    row(
        "RateLimitLayer, RateLimit and -Policy",
        draft - bare,
        "tower_governor, X-RateLimit-*",
        telling - bare,
        Budget::AtMost(1.0),
    );
}

/// A service whose bodies tower_governor can make.
type Bare = ServiceFn<fn(Request<()>) -> Ready<Result<Response<Body>, Infallible>>>;

/// Requests from addresses in turn to a service under a layer.
fn requests<'a, L>(layer: L) -> Side<'a>
where
    L: Layer<Bare>,
    L::Service: Service<Request<()>, Response = Response<Body>, Error = Infallible> + 'a,
{
    let bare: Bare = service_fn(|_| std::future::ready(Ok(Response::new(Body::empty()))));
    let (mut next, mut service) = (round(KEYS), layer.layer(bare));
    let make = move || {
        let mut request = Request::new(());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address(next()), 4711)));
        request
    };
    prepared(make, move |request| call(&mut service, request))
}

/// What a second thread adds.
pub(crate) fn two_threads(effort: Effort) {
    let (local, governor, plan) = (LocalRateLimiter::default(), governor(), plan());
    println!("\nTwo threads and a limiter");
    threads::head();
    threads::compare(effort, "governor's keyed check, keys of its own", |thread| {
        let (mut next, governor) = (round(KEYS), &governor);
        move || governor.check_key(&address(next() + thread as u32 * KEYS)).unwrap()
    });
    threads::compare(effort, "LocalRateLimiter::take, keys of its own", |thread| {
        let (mut next, local, plan) = (round(KEYS), &local, &plan);
        move || take(local, &key(next() + thread as u32 * KEYS), plan)
    });
    threads::compare(effort, "governor's keyed check, one key", |_| {
        let governor = &governor;
        move || governor.check_key(&address(0)).unwrap()
    });
    threads::compare(effort, "LocalRateLimiter::take, one key", |_| {
        let (local, plan) = (&local, &plan);
        move || take(local, &key(0), plan)
    });
}

/// Memory, and the time of a decision, with very many keys; that a used-up one is still known after all of them.
pub(crate) fn many_keys(effort: Effort) {
    let count = u32::try_from(effort.limited).unwrap();
    let (plan, once) = (plan(), QuotaSet::from(Quota::per_day(1)));
    let spread = |next: u32| next.wrapping_mul(0x9e37_79b1) % count;

    let (local, held) = bytes(|| {
        let local = LocalRateLimiter::bounded(effort.limited);
        (0..count).for_each(|index| take(&local, &key(index), &plan));
        local
    });
    let mut next = round(count);
    let [ours] = medians(effort.rounds, [side(|| take(&local, &key(spread(next())), &plan))]);
    drop(local);

    let (theirs_held, theirs) = {
        let (governor, held) = bytes(|| {
            let governor = governor();
            (0..count).for_each(|index| drop(governor.check_key(&address(index))));
            governor
        });
        let mut next = round(count);
        let [theirs] = medians(effort.rounds, [side(|| governor.check_key(&address(spread(next()))).unwrap())]);
        (held, theirs)
    };

    table(&format!("{count} keys, used in an order without order"));
    row("LocalRateLimiter::take", ours, "governor's keyed check", theirs, Budget::AtMost(1.5));
    let each = |held: i64| held as f64 / f64::from(count);
    println!("LocalRateLimiter holds {:.1} bytes for each key of its bound, and no more, whatever comes;", each(held));
    println!("governor holds {:.1} bytes for each key there was, with 17 bytes of key", each(theirs_held));

    // Each key uses a little of a quota that takes a day, so that all of them are active.
    let (local, active, used_up) =
        (LocalRateLimiter::bounded(effort.limited / 10), QuotaSet::from(Quota::per_day(1_000)), key(u32::MAX));
    take(&local, &used_up, &once);
    (0..count).for_each(|index| take(&local, &key(index), &active));
    assert!(matches!(local.take(&LimitRequest::new(&used_up, &once)), Eventual::Now(Ok(Decision::Refused(_)))));
    println!("a tenth of the bound, all {count} keys active: {local:?}, and a used-up one is still known");
}
