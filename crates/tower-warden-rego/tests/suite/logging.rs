//! What is logged, and how often.

use std::{
    fs, io,
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use tempfile::TempDir;
use tower_warden_rego::RegoPolicy;
use tracing::subscriber::DefaultGuard;

use crate::support::{Caller, allow};

/// The log lines of this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn listen() -> (Self, DefaultGuard) {
        // Callsites cache for all threads whether any is interested, so that one without a subscriber would silence them.
        static ALL: Once = Once::new();
        ALL.call_once(|| {
            let nowhere = tracing_subscriber::fmt().with_writer(io::sink).finish();
            tracing::subscriber::set_global_default(nowhere).expect("the only one");
        });
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn count(&self, line: &str) -> usize {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().matches(line).count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_is_logged_once() {
    let (log, _guard) = Log::listen();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("test.rego");
    let write = |text: &str| fs::write(&path, format!("package test\n\n{text}\n")).unwrap();
    write("allow := true");
    let policy = RegoPolicy::builder("data.test.allow").file(&path).build().unwrap().watch(Duration::from_secs(10));
    let pass = async || tokio::time::sleep(Duration::from_secs(1000)).await;
    let broken = "the changed policy cannot be loaded";
    for (text, lines) in [("allow := ", 1), ("other := true", 2), ("allow := false", 2), ("allow := ", 3)] {
        write(text);
        pass().await;
        assert_eq!(log.count(broken), lines, "{text}");
    }
    assert_eq!(log.count("the policy has changed"), 1);
    Caller::agent().await.ask(policy).await.assert_refused("policy");
}

#[tokio::test]
async fn the_first_failure_of_a_version_is_logged() {
    let (log, _guard) = Log::listen();
    let agent = Caller::agent().await;
    let policy = allow("allow := to_number(input.agent.subject) > 0").build().unwrap();
    for _ in 0..5 {
        agent.ask(policy.clone()).await.assert_refused("policy_failed");
    }
    assert_eq!(log.count("a policy cannot be evaluated"), 1);
    assert_eq!(log.count("the evaluation failed at test.rego:3:"), 1);
}

#[tokio::test]
async fn an_evaluation_that_took_too_long_is_logged_as_such() {
    let (log, _guard) = Log::listen();
    let endless = "allow if {
        some a in numbers.range(1, 1000)
        some b in numbers.range(1, 1000)
        some c in numbers.range(1, 1000)
        a + b + c == 0
    }";
    let policy = allow(endless).time_limit(Duration::from_millis(1)).build().unwrap();
    Caller::agent().await.ask(policy).await.assert_refused("policy_failed");
    assert_eq!(log.count("execution exceeded time limit"), 1);
}

/// (175)
#[tokio::test]
async fn the_warning_of_a_failure_quotes_nothing_that_the_caller_sent() {
    let agent = Caller::agent().await;
    let (log, _guard) = Log::listen();
    let calls = [
        "to_number(value) > 0",
        "json.unmarshal(value) == 1",
        "regex.match(value, \"a\")",
        "time.parse_duration_ns(value) > 0",
        "base64.decode(value) == \"a\"",
        "semver.compare(value, \"1.0.0\") == 0",
        "net.cidr_contains(value, \"10.0.0.1\")",
    ];
    for call in calls {
        let rules = format!("value := input.request.headers[\"x-value\"][0]\n\nallow if {call}");
        let policy = allow(&rules).header(http::HeaderName::from_static("x-value")).build().unwrap();
        let request = http::Request::get("/").header("x-value", "(sentinel*");
        agent.send(policy, request).await.assert_refused("policy_failed");
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let warnings: Vec<_> = text.lines().filter(|line| line.contains("a policy cannot be evaluated")).collect();
    assert_eq!(warnings.len(), calls.len(), "{text}");
    assert!(!warnings.iter().any(|line| line.contains("sentinel")), "{warnings:#?}");
}
