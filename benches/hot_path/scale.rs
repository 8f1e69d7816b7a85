//! Many keys, and many requests for one.

use std::time::{Duration, Instant};

use http::Request;
use tower::{Layer, Service};
use tower_warden::{
    api_key::{ApiKeys, NewKey},
    layer::AuthLayer,
};

use crate::{
    counting::{Store, bytes},
    fixture::{Floor, bare, cycle, format, keys, request, runtime, secrets, shuffled, store, verify, warm},
    measure::{Budget, Effort, Side, medians, row, side, table},
};

/// What the larger ones are compared with.
const FEW: usize = 1_000;

/// Cached keys, in a random order, so that the processor's own caches are of little use.
pub(crate) fn many_keys(effort: Effort) {
    let (runtime, few, many) = (runtime(), secrets(FEW), secrets(effort.cached));
    let of_few = keys(store(&few, FEW)).build();
    let of_many = keys(store(&many, effort.cached)).build();
    let of_most = keys(store(&many, effort.stored)).build();
    warm(&of_few, &few, &runtime);
    warm(&of_most, &many, &runtime);
    let ((), held) = bytes(|| warm(&of_many, &many, &runtime));
    let (floor_of_many, held_by_floor) = bytes(|| Floor::new(&many, &[]));
    let floor_of_few = Floor::new(&few, &[]);

    let (few, many) = (shuffled(&few), shuffled(&many));
    let sides = [
        verified(&of_few, &few),
        verified(&of_many, &many),
        verified(&of_most, &many),
        hit(&floor_of_few, &few),
        hit(&floor_of_many, &many),
    ];
    let [of_few, of_many, of_most, floor_of_few, floor_of_many] = medians(effort.rounds, sides);

    let Effort { cached, stored, .. } = effort;
    table(&format!("Many keys: {FEW}, {cached} in the cache, {stored} in the store; each used in a random order"));
    let same = format!("the same with {FEW} and {FEW}");
    row(&format!("authenticate, {cached} cached, {cached} stored"), of_many, &same, of_few, Budget::Open);
    row(&format!("authenticate, {cached} cached, {stored} stored"), of_most, &same, of_few, Budget::Open);
    row(&format!("SHA-256 + moka hit, {cached} cached"), floor_of_many, &same, floor_of_few, Budget::Open);
    let floor = |cached| format!("SHA-256 + moka hit, {cached} cached");
    let path = |cached| format!("authenticate, {cached} cached");
    row(&path(FEW), of_few, &floor(FEW), floor_of_few, Budget::AtMost(2.0));
    row(&path(cached), of_many, &floor(cached), floor_of_many, Budget::AtMost(1.3));
    let each = |bytes: i64| bytes as f64 / cached as f64;
    println!("a cached key holds {:.0} bytes, of which the cache itself {:.0}", each(held), each(held_by_floor));
}

fn verified<'a>(keys: &'a ApiKeys, secrets: &'a [String]) -> Side<'a> {
    let (mut key, head) = (cycle(secrets), Request::new(()));
    side(move || verify(keys, &head, key()).unwrap())
}

fn hit<'a>(floor: &'a Floor, secrets: &'a [String]) -> Side<'a> {
    let mut key = cycle(secrets);
    side(move || floor.hit(key()))
}

/// Many requests at once with a key that is not cached.
pub(crate) fn one_cold_key(effort: Effort) {
    let store = Store::slow(Duration::from_millis(50));
    let (runtime, keys) = (runtime(), ApiKeys::new(store.clone(), format()));
    let (_, secret) = runtime.block_on(keys.mint(NewKey::new("agent"))).unwrap();
    let service = AuthLayer::new(keys).layer(bare());
    let start = Instant::now();
    runtime.block_on(async {
        let requests = (0..effort.requests).map(|_| {
            let (mut service, request) = (service.clone(), request(secret.expose()));
            tokio::spawn(async move { service.call(request).await.unwrap().status() })
        });
        for status in requests.collect::<Vec<_>>() {
            assert_eq!(status.await.unwrap(), 200);
        }
    });
    let (requests, finds, time) = (effort.requests, store.finds(), start.elapsed().as_millis());
    println!(
        "\nA cold key in {requests} requests at once: {finds} look-up in a store that takes 50 ms, {time} ms for all"
    );
    assert_eq!(finds, 1);
}
