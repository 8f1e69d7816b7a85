//! What is logged, and how often.

use std::{
    fs, io,
    sync::{Arc, Mutex},
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
}
