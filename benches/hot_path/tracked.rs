//! The hottest paths, for criterion, which compares them with those of the last run.

use std::time::Duration;

use criterion::Criterion;
use http::Request;
use tower_warden::layer::AuthLayer;

use crate::{
    fixture::{Floor, cycle, keys, runtime, secrets, store, verify, warm},
    measure::{BATCH, Effort, Side, side},
    paths::{KEYS, mistyped, requests},
};

pub(crate) fn track(effort: Effort) {
    let (runtime, secrets) = (runtime(), secrets(KEYS));
    let keys = keys(store(&secrets, KEYS)).build();
    warm(&keys, &secrets, &runtime);
    let (floor, head) = (Floor::new(&secrets, &[]), Request::new(()));
    let mistyped: Vec<_> = secrets.iter().map(|key| mistyped(key)).collect();
    let (mut hit, mut verified) = (cycle(&secrets), cycle(&secrets));
    let sides: [(&str, Side<'_>); 5] = [
        ("floor", side(|| floor.hit(hit()))),
        ("authenticate", side(|| verify(&keys, &head, verified()).unwrap())),
        ("bare service", requests(&secrets, tower::layer::util::Identity::new())),
        ("layer", requests(&secrets, AuthLayer::new(keys.clone()))),
        ("layer, bad checksum", requests(&mistyped, AuthLayer::new(keys.clone()))),
    ];

    let time = Duration::from_millis(effort.rounds as u64);
    let mut criterion = Criterion::default().warm_up_time(time / 4).measurement_time(time).configure_from_args();
    let mut group = criterion.benchmark_group("api key");
    for (name, mut side) in sides {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let batches = iterations.div_ceil(BATCH as u64);
                let nanoseconds = (0..batches).map(|_| side()).sum::<f64>() / batches as f64;
                Duration::from_nanos((nanoseconds * iterations as f64) as u64)
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
