//! What authentication costs, each path beside its floor in the same run.
//!
//! `cargo bench --bench hot_path` prints tables of ratios, for absolute times mean nothing on another machine; then
//! criterion keeps track of the hottest paths. `QUICK=1` takes fewer samples. `cargo bench --bench hot_path -- mcp` measures
//! only the paths of one module.
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
mod signed;
mod threads;
mod tokens;
mod tracked;
mod webhooks;
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
    // Cargo adds `--bench`; what is left is the name of a module, as criterion takes a filter.
    let only = env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let paths: [(&str, fn(Effort)); 20] = [
        ("paths", paths::cached),
        ("introspected", introspected::cached),
        ("paths", paths::refused),
        ("paths", paths::routed),
        ("tokens", tokens::cached),
        ("tokens", tokens::verified),
        ("binding", binding::certificates),
        ("binding", binding::proofs),
        ("signed", signed::requests),
        ("whole", whole::stack),
        ("detector", detector::record),
        ("mcp", mcp::calls),
        ("webhooks", webhooks::verified),
        ("threads", threads::two),
        ("limits", limits::one_key_after_the_other),
        ("limits", limits::layers),
        ("limits", limits::two_threads),
        ("limits", limits::many_keys),
        // The last one: what it frees leaves the memory of the process scattered, which would slow the others down.
        ("scale", scale::one_cold_key),
        ("scale", scale::many_keys),
    ];
    for (name, measure) in paths {
        if only.as_deref().is_none_or(|only| only == name) {
            measure(effort);
        }
    }
    if is_bench {
        tracked::track(effort);
    }
}
