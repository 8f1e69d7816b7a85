//! Decisions of `RedisRateLimiter`, compared with `redis-benchmark` on the same server and the same script.
//!
//! `cargo bench --bench limits` prints decisions per second beside those of `redis-benchmark`, which is written in C, and
//! then lets criterion track them. It needs `redis-server`; `QUICK=1` takes fewer samples.
#![allow(clippy::print_stdout, missing_docs)]
#![allow(clippy::unwrap_used)]

use std::{
    env,
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use futures_util::{StreamExt, stream};
use tokio::runtime::Runtime;
use tower_warden::rate_limit::{Decision, LimitKey, LimitRequest, LimitSecret, Quota, QuotaSet, RateLimiter};
use tower_warden_redis::{RedisConnection, RedisRateLimiter};

/// The numbers of concurrent requests, which are pipelined on one connection.
const CONCURRENCY: [usize; 2] = [1, 50];

fn main() {
    // `cargo test --benches` runs this without the argument: to check that it works, not to measure.
    let is_bench = env::args().any(|argument| argument == "--bench");
    let (rounds, requests) = match env::var_os("QUICK") {
        _ if !is_bench => (1, 100),
        Some(_) => (1, 10_000),
        None => (5, 10_000),
    };
    let Some(server) = Server::start() else {
        println!("not measured: redis-server is not installed");
        return;
    };
    let bench = Bench::new(&server);
    bench.compare(&server, rounds, requests);
    if is_bench {
        bench.track();
    }
    assert_eq!(bench.limiter.counts().outage_local, 0, "Redis made all decisions");
}

/// A limiter on a server, and one caller.
struct Bench {
    runtime: Runtime,
    client: redis::Client,
    limiter: RedisRateLimiter,
    key: LimitKey,
    quotas: QuotaSet,
}

impl Bench {
    fn new(server: &Server) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", server.port)).unwrap();
        let connection = runtime
            .block_on(RedisConnection::connect(client.clone(), "bench".parse().unwrap()))
            .timeout(Duration::from_secs(10));
        let mut key = LimitKey::default();
        key.push("subject", "alice");
        // So large that no request is refused.
        let quotas = QuotaSet::from(Quota::per_second(1_000_000).burst(1_000_000));
        Self {
            runtime,
            client,
            limiter: RedisRateLimiter::new(connection, LimitSecret::new([7; 32]).unwrap()),
            key,
            quotas,
        }
    }

    /// Prints decisions per second.
    fn compare(&self, server: &Server, rounds: usize, requests: usize) {
        self.decide(1, 1);
        let script = self.load_script();
        println!("\nDecisions in Redis per second, on one connection, with one quota");
        println!(
            "{:<20} | {:>16} | {:>16} | {:>5}",
            "concurrent requests", "RedisRateLimiter", "redis-benchmark", "ratio"
        );
        for concurrency in CONCURRENCY {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                let start = Instant::now();
                self.decide(concurrency, requests);
                ours.push(requests as f64 / start.elapsed().as_secs_f64());
                theirs.extend(server.benchmark(&script, concurrency, requests));
            }
            let ours = median(&mut ours);
            if theirs.is_empty() {
                println!("{concurrency:<20} | {ours:>16.0} | {:>16} | {:>5}", "not installed", "");
            } else {
                let theirs = median(&mut theirs);
                println!("{concurrency:<20} | {ours:>16.0} | {theirs:>16.0} | {:>5.2}", ours / theirs);
            }
        }
    }

    /// Lets criterion track the time of 100 decisions.
    fn track(&self) {
        let mut criterion = Criterion::default().configure_from_args();
        let mut group = criterion.benchmark_group("RedisRateLimiter::take");
        group.throughput(Throughput::Elements(100)).sample_size(20);
        for concurrency in CONCURRENCY {
            group.bench_function(format!("{concurrency} concurrent"), |bencher| {
                bencher.iter(|| self.decide(concurrency, 100));
            });
        }
        group.finish();
    }

    fn decide(&self, concurrency: usize, requests: usize) {
        let decide = async || match self.limiter.take(&LimitRequest::new(&self.key, &self.quotas)).wait().await {
            Ok(Decision::Admitted(_)) => {}
            other => panic!("{other:?}"),
        };
        self.runtime.block_on(stream::iter(0..requests).for_each_concurrent(concurrency, |_| decide()));
    }

    fn load_script(&self) -> String {
        let script = include_str!("../src/rate_limit/take.lua");
        self.runtime.block_on(async {
            let mut connection = self.client.get_multiplexed_async_connection().await.unwrap();
            redis::cmd("SCRIPT").arg("LOAD").arg(script).query_async(&mut connection).await.unwrap()
        })
    }
}

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start() -> Option<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?.local_addr().ok()?.port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let process = command.current_dir(env::temp_dir()).stdout(Stdio::null()).spawn().ok()?;
        let server = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server did not start");
            thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    /// The requests per second of redis-benchmark, if it is installed.
    fn benchmark(&self, script: &str, concurrency: usize, requests: usize) -> Option<f64> {
        let mut command = Command::new("redis-benchmark");
        command.args(["-p", &self.port.to_string(), "-c", "1", "-q"]);
        command.args(["-P", &concurrency.to_string(), "-n", &requests.to_string()]);
        command.args(["EVALSHA", script, "1", "benchmark", "1", "1", "1", "1000000"]);
        let output = String::from_utf8(command.output().ok()?.stdout).ok()?;
        let (before, _) = output.rsplit_once(" requests per second")?;
        before.rsplit([' ', '\r', '\n']).next()?.parse().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
