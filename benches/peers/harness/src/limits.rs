//! Servers with a limit by the address of the peer: what each decides about the same cases, and the time of a request.

use std::{
    collections::HashMap,
    fs,
    hint::black_box,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Request, Response},
    routing::get,
};
use futures_util::FutureExt;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use crate::{BATCH, Lines, ROUNDS, Side, Stage, Want, medians, side};

/// Addresses that are used in turn.
const ADDRESSES: u32 = 64;

/// Addresses of a flood.
const FLOOD: u32 = 1_000_000;

/// How many requests of one address are admitted: `count` at once, and as many again evenly over `period`.
#[derive(Clone, Copy)]
pub struct Rate {
    pub count: u32,
    pub period: Duration,
}

impl Rate {
    /// Exhausted soon: then one request in two seconds.
    pub const SMALL: Self = Self { count: 5, period: Duration::from_secs(10) };
    /// Exhausted by several threads at once, and not restored during a flood.
    pub const DAILY: Self = Self { count: 1_000, period: Duration::from_secs(24 * 3600) };
    /// Never exhausted.
    pub const LARGE: Self = Self { count: 1_000_000_000, period: Duration::from_secs(1) };

    /// The time after which one more request is admitted.
    pub fn interval(self) -> Duration {
        self.period / self.count
    }
}

/// The handler behind the limit, and on the bare route.
pub async fn handler() -> &'static str {
    "ok"
}

/// Prints what a server decides, and what it costs. The server limits `GET /`.
///
/// It is the first of the process: memory that another one has used would be used again, and not be counted.
pub fn run(lines: &Lines, server: impl Fn(Rate) -> Router) {
    if Stage::from_args().has_verdicts() {
        let runtime = runtime();
        let _context = runtime.enter();
        flood(lines, &server(Rate::DAILY));
        burst(lines, &server(Rate::SMALL));
        addresses(lines, &server(Rate::SMALL));
        threads(lines, &server(Rate::DAILY));
    }
    run_times(lines, "", server);
}

/// Prints what a server costs. The variant is a part of the names of its paths.
pub fn run_times(lines: &Lines, variant: &str, server: impl Fn(Rate) -> Router) {
    if Stage::from_args().has_times() {
        let runtime = runtime();
        let _context = runtime.enter();
        times(lines, variant, &server);
    }
}

/// Prints what a decision costs, without any request around it, for addresses in turn.
pub fn run_decision<O>(lines: &Lines, mut decide: impl FnMut(IpAddr) -> O) {
    if !Stage::from_args().has_times() {
        return;
    }
    let entries = Mutex::new(HashMap::<IpAddr, Instant>::new());
    let (mut one, mut other) = (in_turn(), in_turn());
    let [decision, floor] = medians(
        ROUNDS,
        [
            side(move || decide(one())),
            side(|| entries.lock().expect("no other thread has it").insert(other(), Instant::now())),
        ],
    );
    lines.time("a decision alone", decision, "the clock, and an entry of a `HashMap` in a `Mutex`", floor);
}

/// One address that sends too much.
fn burst(lines: &Lines, server: &Router) {
    let send = || send(server, request(address(1)));
    let responses: Vec<_> = (0..6).map(|_| send()).collect();
    lines.verdict("limits", "5th request, 5 are permitted", Want::Admitted, Ok(responses[4].status().as_u16()));
    lines.verdict("limits", "6th request", Want::Refused, Ok(responses[5].status().as_u16()));

    let case = "stated to remain after the 1st request";
    match remaining(&responses[0]) {
        Some(4.0) => lines.figure("limits", case, 4.0, ""),
        Some(other) => lines.error("limits", case, &format!("{other} of 5")),
        None => lines.error("limits", case, "not stated"),
    }
    let case = "a request after the stated `Retry-After`";
    match number(&responses[5], "retry-after") {
        Some(seconds) => {
            thread::sleep(Duration::from_secs_f64(seconds));
            lines.verdict("limits", case, Want::Admitted, Ok(send().status().as_u16()));
        }
        None => lines.error("limits", case, "no `Retry-After`"),
    }
    let fields = responses[0].headers().keys().map(|name| name.as_str()).filter(|name| name.contains("ratelimit"));
    let fields = fields.collect::<Vec<_>>().join(", ");
    lines.about("limits", if fields.is_empty() { "no fields of its own" } else { &fields });
}

/// What is an address, and whose quota it has.
fn addresses(lines: &Lines, server: &Router) {
    let judge = |case, want, request| {
        lines.verdict("limits", case, want, Ok(send(server, request).status().as_u16()));
    };
    exhaust(server, address(1));
    judge("another address", Want::Admitted, request(address(2)));
    let mut forged = request(address(1));
    forged.headers_mut().insert("x-forwarded-for", "203.0.113.7".parse().expect("a header value"));
    judge("6th request, with a forged `X-Forwarded-For`", Want::Refused, forged);
    let network = |host: u128| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8_0000_0001_u128 << 64) | host));
    for host in 0..5 {
        send(server, request(network(host)));
    }
    judge("6th address of one IPv6 network (/64)", Want::Refused, request(network(5)));
    let unknown = send(server, Request::new(Body::empty())).status();
    // Refused as a fault of the client or of the server: that is a matter of taste.
    let want = if unknown.is_client_error() { Want::Refused } else { Want::Failed };
    lines.verdict("limits", "address unknown", want, Ok(unknown.as_u16()));
}

/// Four threads use one quota of 1,000.
fn threads(lines: &Lines, server: &Router) {
    let admitted = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let is_admitted = send(server, request(address(1))).status() == 200;
                    admitted.fetch_add(u32::from(is_admitted), Ordering::Relaxed);
                }
            });
        }
    });
    let case = "admitted on four threads, 1,000 are permitted";
    match admitted.into_inner() {
        1_000 => lines.figure("limits", case, 1_000.0, ""),
        other => lines.error("limits", case, &format!("{other} of 4,000")),
    }
}

/// A million addresses, each with one request.
fn flood(lines: &Lines, server: &Router) {
    let before = resident();
    let victim = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    exhaust(server, victim);
    for index in 0..FLOOD {
        drop(send(server, request(address(index))));
    }
    lines.figure("limits", "memory of a million addresses", (resident() - before) / 1024.0, "MiB");
    let status = send(server, request(victim)).status().as_u16();
    lines.verdict("limits", "exhausted, after a million other addresses", Want::Refused, Ok(status));
}

/// For limiters that start tasks.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn times(lines: &Lines, variant: &str, server: &impl Fn(Rate) -> Router) {
    let (bare, large, small) = (Router::new().route("/", get(handler)), server(Rate::LARGE), server(Rate::DAILY));
    (0..ADDRESSES).for_each(|index| exhaust(&small, address(index)));
    let [admitted, refused, floor] =
        medians(ROUNDS, [requests(&large, 200), requests(&small, 429), requests(&bare, 200)]);
    lines.time(&format!("admitted{variant}"), admitted, "the bare route", floor);
    lines.time(&format!("refused{variant}"), refused, "the bare route", floor);
}

/// Requests from addresses in turn, which have this status.
fn requests(server: &Router, status: u16) -> Side<'_> {
    let mut next = in_turn();
    Box::new(move || {
        let inputs: Vec<_> = (0..BATCH).map(|_| request(next())).collect();
        let start = Instant::now();
        for request in inputs {
            assert_eq!(black_box(send(server, request)).status(), status, "another path would be measured");
        }
        start.elapsed().as_nanos() as f64 / BATCH as f64
    })
}

/// Sends requests until one is refused.
fn exhaust(server: &Router, address: IpAddr) {
    while send(server, request(address)).status() == 200 {}
}

/// Sends a request to a server that has nothing to wait for.
fn send(server: &Router, request: Request<Body>) -> Response<Body> {
    let response = server.clone().oneshot(request).now_or_never().expect("limits in memory wait for nothing");
    response.unwrap_or_else(|error| match error {})
}

fn request(address: IpAddr) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, 4711)));
    request
}

/// One of many addresses.
fn address(index: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + index))
}

fn in_turn() -> impl FnMut() -> IpAddr {
    let mut next = 0;
    move || {
        next = (next + 1) % ADDRESSES;
        address(next)
    }
}

/// The number of requests that a response states to remain: `RateLimit: "name";r=4;t=1`, or `X-RateLimit-Remaining: 4`.
fn remaining(response: &Response<Body>) -> Option<f64> {
    let field = response.headers().get("ratelimit").and_then(|value| value.to_str().ok());
    match field {
        Some(value) => value.split(';').find_map(|item| item.strip_prefix("r="))?.parse().ok(),
        None => number(response, "x-ratelimit-remaining"),
    }
}

fn number(response: &Response<Body>, field: &str) -> Option<f64> {
    response.headers().get(field)?.to_str().ok()?.parse().ok()
}

/// The resident memory of the process, in KiB.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has a resident size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
