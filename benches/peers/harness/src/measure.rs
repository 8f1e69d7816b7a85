use std::{fmt, hint::black_box, time::Instant};

use http::{Request, Response};
use tokio::runtime::Runtime;
use tower::{Service, ServiceExt};

/// Operations that are timed at once, because reading the clock takes time too.
pub const BATCH: usize = 16;

/// Batches of each side.
pub const ROUNDS: usize = 250;

/// Runs a batch of operations, and returns the nanoseconds of one.
pub type Side<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// The medians of sides whose batches are measured in turn, after one batch of each that is not counted.
pub fn medians<const N: usize>(rounds: usize, mut sides: [Side<'_>; N]) -> [f64; N] {
    for side in &mut sides {
        side();
    }
    let mut samples = [(); N].map(|()| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (side, samples) in sides.iter_mut().zip(&mut samples) {
            samples.push(side());
        }
    }
    samples.map(|mut samples| {
        samples.sort_unstable_by(f64::total_cmp);
        samples[samples.len() / 2]
    })
}

/// An operation that needs nothing.
pub fn side<'a, O>(mut operation: impl FnMut() -> O + 'a) -> Side<'a> {
    prepared(|| (), move |()| operation())
}

/// An operation that consumes what `prepare` makes, which is not timed.
pub fn prepared<'a, I, O>(mut prepare: impl FnMut() -> I + 'a, mut operation: impl FnMut(I) -> O + 'a) -> Side<'a> {
    Box::new(move || {
        let inputs: Vec<_> = (0..BATCH).map(|_| prepare()).collect();
        let start = Instant::now();
        for input in inputs {
            black_box(operation(input));
        }
        nanoseconds(start)
    })
}

/// Whole requests to a service, one after the other: it is cloned, waited for until it is ready, and called.
///
/// # Panics
///
/// The side panics if a response is not a success, because refusals must not be measured instead.
pub fn requests<'a, B, R, S>(runtime: &'a Runtime, mut prepare: impl FnMut() -> Request<B> + 'a, service: S) -> Side<'a>
where
    B: 'a,
    S: Service<Request<B>, Response = Response<R>, Error: fmt::Debug> + Clone + 'a,
{
    Box::new(move || {
        let inputs: Vec<_> = (0..BATCH).map(|_| prepare()).collect();
        let (time, refused) = runtime.block_on(async {
            let mut refused = None;
            let start = Instant::now();
            for request in inputs {
                let response = black_box(service.clone().oneshot(request).await).expect("the service responds");
                if !response.status().is_success() {
                    refused = Some(response.status());
                }
            }
            (nanoseconds(start), refused)
        });
        assert_eq!(refused, None, "a refusal would be measured");
        time
    })
}

fn nanoseconds(start: Instant) -> f64 {
    start.elapsed().as_nanos() as f64 / BATCH as f64
}
