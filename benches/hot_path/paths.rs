//! One key after the other, verified and refused: alone, in a layer, and in a router.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceBuilder};
use tower_warden::{
    axum::Scoped,
    layer::{AuthLayer, AuthorizeLayer},
};

use crate::{
    fixture::{
        Bare, BillingRead, Floor, Refusing, bare, call, cycle, format, keys, request, runtime, secrets, store, verify,
        warm,
    },
    measure::{Budget, Effort, Side, medians, prepared, row, side, table},
};

/// So many keys are used in turn.
pub(crate) const KEYS: usize = 64;

const HIT: &str = "SHA-256 of 58 bytes + moka hit";

/// A key that is in the cache.
pub(crate) fn cached(effort: Effort) {
    let (runtime, secrets) = (runtime(), secrets(KEYS));
    let keys = keys(store(&secrets, KEYS)).build();
    warm(&keys, &secrets, &runtime);
    let (floor, head) = (Floor::new(&secrets, &[]), Request::new(()));
    let (mut digested, mut hit, mut verified) = (cycle(&secrets), cycle(&secrets), cycle(&secrets));
    let [digest, hit, verified, bare, layered] = medians(
        effort.rounds,
        [
            side(|| Floor::digest(digested())),
            side(|| floor.hit(hit())),
            side(|| verify(&keys, &head, verified()).unwrap()),
            requests(&secrets, tower::layer::util::Identity::new()),
            requests(&secrets, AuthLayer::new(keys.clone())),
        ],
    );

    table("A key that is cached");
    row("SHA-256 of 58 bytes", digest, HIT, hit, Budget::Open);
    row("ApiKeys::authenticate, clock read", verified, HIT, hit, Budget::AtMost(2.0));
    row("AuthLayer, above the bare service", layered - bare, HIT, hit, Budget::AtMost(1.5));
    row("the bare service, which drops a request", bare, HIT, hit, Budget::Open);
}

/// Keys that are refused.
pub(crate) fn refused(effort: Effort) {
    let runtime = runtime();
    let _context = runtime.enter();
    let (good, unknown) = (secrets(KEYS), secrets(KEYS));
    let mistyped: Vec<_> = good.iter().map(|key| mistyped(key)).collect();
    let foreign: Vec<_> = good.iter().map(|key| key.replace("agent", "other")).collect();
    let memory = Arc::new(store(&good, KEYS));
    let cached = keys(Arc::clone(&memory)).build();
    let asked = keys(Arc::clone(&memory)).negative_ttl(Duration::ZERO).build();
    warm(&cached, &unknown, &runtime);

    let [at_once, mistyped, foreign, hit, cached, found, asked] = medians(
        effort.rounds,
        [
            requests(&good, AuthLayer::new(Refusing::at_once())),
            requests(&mistyped, AuthLayer::new(cached.clone())),
            requests(&foreign, AuthLayer::new(cached.clone())),
            requests(&unknown, AuthLayer::new(Refusing::cached(Floor::new(&good, &unknown)))),
            requests(&unknown, AuthLayer::new(cached)),
            requests(&unknown, AuthLayer::new(Refusing::stored(memory))),
            requests(&unknown, AuthLayer::new(asked)),
        ],
    );

    table("Keys that are refused, with the response");
    let floor = "the same refusal without a look at the key";
    row("bad checksum", mistyped, floor, at_once, Budget::Open);
    row("foreign prefix", foreign, floor, at_once, Budget::Open);
    row("unknown, cached", cached, "refusal + SHA-256 + moka miss + moka hit", hit, Budget::Open);
    row("unknown, the store asked each time", asked, "refusal + SHA-256 + store", found, Budget::Open);
}

/// In an axum app.
pub(crate) fn routed(effort: Effort) {
    let (runtime, secrets) = (runtime(), secrets(KEYS));
    let keys = keys(store(&secrets, KEYS)).build();
    warm(&keys, &secrets, &runtime);
    let floor = Floor::new(&secrets, &[]);
    let auth = AuthLayer::new(keys);
    let stack = ServiceBuilder::new().layer(auth.clone()).layer(AuthorizeLayer::all_of([BillingRead::SCOPE]));
    let app = || Router::new().route("/", get(async || "12 EUR"));
    let scoped = Router::new().route("/", get(async |_: Scoped<BillingRead>| "12 EUR"));

    let mut key = cycle(&secrets);
    let [hit, bare, authenticated, authorized] = medians(
        effort.rounds,
        [
            side(|| floor.hit(key())),
            routes(&secrets, app()),
            routes(&secrets, app().layer(auth)),
            routes(&secrets, scoped.layer(stack)),
        ],
    );

    table("An axum router, cloned for each request as a server does");
    row("Router with AuthLayer", authenticated, "the bare Router", bare, Budget::Open);
    row("Router with AuthLayer, AuthorizeLayer, Scoped", authorized, "the bare Router", bare, Budget::Open);
    row("AuthLayer, above the bare Router", authenticated - bare, HIT, hit, Budget::Open);
    let above = authorized - bare;
    row("AuthLayer, AuthorizeLayer, Scoped, above it", above, HIT, hit, Budget::Nanoseconds(1_500.0));
}

/// Requests with these keys to a service under a layer.
pub(crate) fn requests<'a, L>(keys: &'a [String], layer: L) -> Side<'a>
where
    L: Layer<Bare>,
    L::Service: Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible> + 'a,
{
    let (mut key, mut service) = (cycle(keys), layer.layer(bare()));
    prepared(move || request(key()), move |request| call(&mut service, request))
}

/// Requests with these keys to an app.
fn routes(keys: &[String], app: Router) -> Side<'_> {
    let mut key = cycle(keys);
    prepared(
        move || request::<Body>(key()),
        move |request| {
            let response = call(&mut app.clone(), request);
            assert_eq!(response.status(), 200);
            response
        },
    )
}

/// The same key with another digit at its end.
pub(crate) fn mistyped(key: &str) -> String {
    let (rest, end) = key.split_at(key.len() - 1);
    let mistyped = format!("{rest}{}", if end == "0" { "1" } else { "0" });
    assert_eq!(format().check(&mistyped), Err(tower_warden::Reason::KEY_CHECKSUM));
    mistyped
}
