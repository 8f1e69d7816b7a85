//! What a second thread adds.

use std::{
    convert::Infallible,
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use tower::{Layer, service_fn};
use tower_warden::layer::AuthLayer;

use crate::{
    fixture::{Floor, call, cycle, keys, request, runtime, secrets, store, verify, warm},
    measure::{Effort, median, verdict},
};

const KEYS: usize = 100;

/// Throughput of two threads beside that of one.
pub(crate) fn two(effort: Effort) {
    let (runtime, secrets) = (runtime(), secrets(2 * KEYS));
    let keys = keys(store(&secrets, 2 * KEYS)).build();
    warm(&keys, &secrets, &runtime);
    let floor = Floor::new(&secrets, &[]);
    let (first, second) = secrets.split_at(KEYS);
    let own = |thread| if thread == 0 { first } else { second };
    let layer = AuthLayer::new(keys.clone());

    println!("\nTwo threads; the first line is what the machine allows, the next two are what the cache does");
    head();
    compare(effort, "SHA-256 of 58 bytes", |thread| {
        let mut key = cycle(own(thread));
        move || Floor::digest(key())
    });
    compare(effort, "SHA-256 + moka hit, keys of its own", |thread| {
        let (mut key, floor) = (cycle(own(thread)), &floor);
        move || floor.hit(key())
    });
    compare(effort, "SHA-256 + moka hit, one key", |_| {
        let (key, floor) = (&secrets[0], &floor);
        move || floor.hit(key)
    });
    compare(effort, "ApiKeys::authenticate, keys of its own", |thread| {
        let (mut key, keys, head) = (cycle(own(thread)), &keys, Request::new(()));
        move || verify(keys, &head, key())
    });
    compare(effort, "AuthLayer, keys of its own", |thread| round(&layer, own(thread)));
    compare(effort, "AuthLayer, one key", |_| round(&layer, &secrets[..1]));
}

/// Prints the head of a table of throughputs.
pub(crate) fn head() {
    println!("{:<58} | {:>7} | {:>7} | {:>5} | budget", "path", "1, M/s", "2, M/s", "ratio");
    println!("{:-<58}-|-{:->7}-|-{:->7}-|-{:->5}-|-{:-<14}", "", "", "", "", "");
}

/// Prints the throughput of an operation, which `make` makes for each thread.
pub(crate) fn compare<F: FnMut() -> O, O>(effort: Effort, path: &str, make: impl Fn(usize) -> F + Sync) {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds.div_ceil(400) {
        one.push(throughput(1, effort.operations, &make));
        two.push(throughput(2, effort.operations, &make));
    }
    let (one, two) = (median(&mut one), median(&mut two));
    let (ratio, budget) = (two / one, 1.8);
    let verdict = verdict(ratio >= budget);
    println!("{path:<58} | {one:>7.2} | {two:>7.2} | {ratio:>5.2} | ≥ {budget} {verdict}");
}

/// Millions of operations a second, of so many threads together.
fn throughput<F: FnMut() -> O, O>(threads: usize, operations: usize, make: &(impl Fn(usize) -> F + Sync)) -> f64 {
    let barrier = Barrier::new(threads);
    let run = |thread| {
        let mut operation = make(thread);
        barrier.wait();
        let start = Instant::now();
        for _ in 0..operations {
            black_box(operation());
        }
        start.elapsed()
    };
    let slowest = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap_or(Duration::ZERO)
    });
    (threads * operations) as f64 / slowest.as_secs_f64() / 1e6
}

/// Requests that go round and round, so that making them takes no time.
fn round(layer: &AuthLayer, keys: &[String]) -> impl FnMut() + use<> {
    let mut requests: Vec<_> = keys.iter().map(|key| Some(request(key))).collect();
    let mut service = layer.layer(service_fn(async |request| Ok::<_, Infallible>(Response::new(Back(Some(request))))));
    let mut next = 0;
    move || {
        next = (next + 1) % requests.len();
        let request: Request<()> = requests[next].take().unwrap();
        requests[next] = call(&mut service, request).into_body().0;
    }
}

/// A body that is the request.
struct Back(Option<Request<()>>);

/// Of a refusal.
impl From<Bytes> for Back {
    fn from(_: Bytes) -> Self {
        Self(None)
    }
}
