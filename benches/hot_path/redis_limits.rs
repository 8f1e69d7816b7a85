//! Decisions in Redis, beside what redis-benchmark gets out of the same server with the same script.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use tower_warden::{
    rate_limit::{Decision, LimitKey, LimitRequest, Quota, QuotaSet, RateLimiter, RedisRateLimiter},
    redis::RedisConnection,
};

use crate::{
    fixture::runtime,
    measure::{Effort, median, verdict},
};

/// So many requests at once are pipelined on one connection.
const AT_ONCE: usize = 50;

/// Prints decisions a second.
pub(crate) fn decisions(effort: Effort) {
    let Some(server) = Server::start() else {
        println!("\nDecisions in Redis: not measured, for redis-server is not on this machine");
        return;
    };
    let (runtime, count) = (runtime(), effort.requests.max(100));
    let client = redis::Client::open(format!("redis://127.0.0.1:{}/", server.port)).unwrap();
    let line = runtime.block_on(RedisConnection::connect(client.clone())).patience(Duration::from_secs(10));
    let limiter = RedisRateLimiter::new(line);
    let plan = QuotaSet::from(Quota::per_second(1_000_000).burst(1_000_000));
    let mut key = LimitKey::default();
    key.push("subject", "alice");
    let decide = async || match limiter.take(&LimitRequest::new(&key, &plan)).wait().await {
        Ok(Decision::Admitted(_)) => {}
        other => panic!("{other:?}"),
    };
    let ours = |at_once| {
        let start = Instant::now();
        runtime.block_on(stream::iter(0..count).for_each_concurrent(at_once, |_| decide()));
        count as f64 / start.elapsed().as_secs_f64()
    };
    ours(1);
    let script = include_str!("../../src/rate_limit/redis/take.lua");
    let load = async {
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("SCRIPT").arg("LOAD").arg(script).query_async::<String>(&mut connection).await.unwrap()
    };
    let sha = runtime.block_on(load);

    println!("\nDecisions in Redis a second, on one connection; one quota");
    println!(
        "{:<24} | {:>14} | {:>16} | {:>5} | budget",
        "requests at once", "RedisRateLimiter", "redis-benchmark", "ratio"
    );
    for at_once in [1, AT_ONCE] {
        let (mut own, mut ceiling) = (Vec::new(), Vec::new());
        for _ in 0..effort.rounds.div_ceil(800) {
            own.push(ours(at_once));
            ceiling.extend(server.benchmark(&sha, at_once, count));
        }
        let own = median(&mut own);
        if ceiling.is_empty() {
            println!("{at_once:<24} | {own:>16.0} | {:>16} | {:>5} | -", "not there", "");
            continue;
        }
        let ceiling = median(&mut ceiling);
        println!(
            "{at_once:<24} | {own:>16.0} | {ceiling:>16.0} | {:>5.2} | {}",
            own / ceiling,
            verdict(true).replace("holds", "-")
        );
    }
    assert_eq!(limiter.counts().outage_local, 0, "Redis has decided all");
}

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start() -> Option<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?.local_addr().ok()?.port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let child = command.current_dir(std::env::temp_dir()).stdout(Stdio::null()).spawn().ok()?;
        let server = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    /// What redis-benchmark gets, if it is there.
    fn benchmark(&self, sha: &str, at_once: usize, count: usize) -> Option<f64> {
        let mut command = Command::new("redis-benchmark");
        command.args(["-p", &self.port.to_string(), "-c", "1", "-q"]);
        command.args(["-P", &at_once.to_string(), "-n", &count.to_string()]);
        command.args(["EVALSHA", sha, "1", "benchmark", "1", "1", "1", "1000000"]);
        let output = String::from_utf8(command.output().ok()?.stdout).ok()?;
        let (before, _) = output.rsplit_once(" requests per second")?;
        before.rsplit([' ', '\r', '\n']).next()?.parse().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
