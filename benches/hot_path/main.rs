//! What authentication costs, each path beside its floor in the same run.
//!
//! `cargo bench --bench hot_path` prints tables of ratios, for absolute times mean nothing on another machine; then
//! criterion keeps track of the hottest paths. `QUICK=1` takes fewer samples.
//!
//! A path and its floor are measured in turn, batch by batch, and their medians are compared: whatever else the machine
//! does meanwhile slows both. The floor of a path is what nobody could do without: one SHA-256 of the key and one hit
//! in a cache with bounds, or the same refusal from an authenticator that does not look at the key.
#![allow(clippy::print_stdout, reason = "tables are what it is for")]
#![allow(clippy::unwrap_used)]

mod binding;
#[path = "../../tests/counting/mod.rs"]
mod counting;
mod detector;
mod fixture;
mod introspected;
mod limits;
mod mcp;
mod measure;
mod paths;
mod scale;
mod threads;
mod tokens;
mod tracked;
mod whole;

use std::env;

use self::measure::Effort;

#[global_allocator]
static ALLOCATOR: counting::Allocator = counting::Allocator;

fn main() {
    // `cargo test --benches` runs it without this argument: it is to work then, not to measure.
    let is_bench = env::args().any(|argument| argument == "--bench");
    let effort = match env::var_os("QUICK") {
        _ if !is_bench => Effort::SMOKE,
        Some(_) => Effort::QUICK,
        None => Effort::FULL,
    };
    paths::cached(effort);
    introspected::cached(effort);
    paths::refused(effort);
    paths::routed(effort);
    tokens::cached(effort);
    tokens::verified(effort);
    binding::certificates(effort);
    binding::proofs(effort);
    scale::many_keys(effort);
    scale::one_cold_key(effort);
    whole::stack(effort);
    detector::record(effort);
    mcp::calls(effort);
    threads::two(effort);
    limits::one_key_after_the_other(effort);
    limits::layers(effort);
    limits::two_threads(effort);
    limits::many_keys(effort);
    if is_bench {
        tracked::track(effort);
    }
}
