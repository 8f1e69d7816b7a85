//! Measures sides of a comparison in turn, and prints what comes out.

use std::{hint::black_box, time::Instant};

/// So many operations are timed at once, because reading the clock takes time too.
pub(crate) const BATCH: usize = 128;

/// How much to measure.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    /// Batches of each side.
    pub(crate) rounds: usize,
    /// Keys in a cache that is large.
    pub(crate) cached: usize,
    /// Keys in a store that is large.
    pub(crate) stored: usize,
    /// Requests at once.
    pub(crate) requests: usize,
    /// Keys of a limiter that has very many.
    pub(crate) limited: usize,
    /// Operations of one thread: so many that starting it does not count.
    pub(crate) operations: usize,
}

impl Effort {
    pub(crate) const FULL: Self = Self {
        rounds: 4_000,
        cached: 100_000,
        stored: 1_000_000,
        requests: 10_000,
        limited: 10_000_000,
        operations: 400_000,
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 400,
        cached: 100_000,
        stored: 200_000,
        requests: 10_000,
        limited: 1_000_000,
        operations: 200_000,
    };
    pub(crate) const SMOKE: Self =
        Self { rounds: 3, cached: 2_000, stored: 3_000, requests: 100, limited: 1_000, operations: 100 };
}

/// Runs a batch of operations, and tells the nanoseconds of one.
pub(crate) type Side<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// An operation that needs nothing.
pub(crate) fn side<'a, O>(mut operation: impl FnMut() -> O + 'a) -> Side<'a> {
    Box::new(move || {
        let start = Instant::now();
        for _ in 0..BATCH {
            black_box(operation());
        }
        nanoseconds(start, BATCH)
    })
}

/// An operation that consumes what `prepare` makes, which is not timed.
pub(crate) fn prepared<'a, I, O>(
    mut prepare: impl FnMut() -> I + 'a,
    mut operation: impl FnMut(I) -> O + 'a,
) -> Side<'a> {
    Box::new(move || {
        let inputs: Vec<_> = (0..BATCH).map(|_| prepare()).collect();
        let start = Instant::now();
        for input in inputs {
            black_box(operation(input));
        }
        nanoseconds(start, BATCH)
    })
}

pub(crate) fn nanoseconds(start: Instant, operations: usize) -> f64 {
    start.elapsed().as_nanos() as f64 / operations as f64
}

/// The medians of sides that are measured in turn.
pub(crate) fn medians<const N: usize>(rounds: usize, mut sides: [Side<'_>; N]) -> [f64; N] {
    let mut samples = [(); N].map(|()| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (side, samples) in sides.iter_mut().zip(&mut samples) {
            samples.push(side());
        }
    }
    samples.map(|mut samples| median(&mut samples))
}

pub(crate) fn median(samples: &mut [f64]) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// What a path may cost.
#[derive(Clone, Copy)]
pub(crate) enum Budget {
    /// So many times its floor at the most.
    AtMost(f64),
    /// So many nanoseconds at the most.
    Nanoseconds(f64),
    /// Nothing was said of it.
    Open,
}

/// Whether a budget holds; without optimisations that means nothing.
pub(crate) const fn verdict(holds: bool) -> &'static str {
    match holds {
        _ if cfg!(debug_assertions) => "",
        true => "holds",
        false => "BROKEN",
    }
}

/// Prints the head of a table.
pub(crate) fn table(title: &str) {
    println!("\n{title}");
    println!("{:<58} | {:>7} | {:<44} | {:>8} | {:>5} | budget", "path", "ns", "floor", "floor ns", "ratio");
    println!("{:-<58}-|-{:->7}-|-{:-<44}-|-{:->8}-|-{:->5}-|-{:-<14}", "", "", "", "", "", "");
}

/// Prints a line of it.
pub(crate) fn row(path: &str, nanoseconds: f64, floor: &str, floor_nanoseconds: f64, budget: Budget) {
    let ratio = nanoseconds / floor_nanoseconds;
    let budget = match budget {
        Budget::AtMost(most) => format!("≤ {most} {}", verdict(ratio <= most)),
        Budget::Nanoseconds(most) => format!("≤ {most} ns {}", verdict(nanoseconds <= most)),
        Budget::Open => "-".to_owned(),
    };
    println!("{path:<58} | {nanoseconds:>7.0} | {floor:<44} | {floor_nanoseconds:>8.0} | {ratio:>5.2} | {budget}");
}
