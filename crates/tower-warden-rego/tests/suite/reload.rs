//! Policies in files that change.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tower_warden_rego::{RegoErrorKind, RegoPolicy, ReloadStatus};

use crate::support::Caller;

struct Files {
    directory: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { directory: TempDir::new().unwrap() };
        files.allow("true");
        fs::write(files.path("data.json"), "{}").unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn allow(&self, result: &str) {
        fs::write(self.path("test.rego"), format!("package test\n\nallow := {result}\n")).unwrap();
    }

    fn policy(&self) -> RegoPolicy {
        let builder = RegoPolicy::builder("data.test.allow");
        builder.file(self.path("test.rego")).data_file(self.path("data.json")).build().unwrap()
    }
}

#[tokio::test]
async fn a_changed_file_decides_new_requests() {
    let (files, agent) = (Files::new(), Caller::agent().await);
    let policy = files.policy();
    agent.ask(policy.clone()).await.assert_admitted();
    assert_eq!(policy.reload().unwrap(), ReloadStatus::Unchanged);
    files.allow("false");
    assert_eq!(policy.clone().reload().unwrap(), ReloadStatus::Changed);
    agent.ask(policy.clone()).await.assert_refused("policy");
    files.allow("data.is_open");
    fs::write(files.path("data.json"), r#"{"is_open": true}"#).unwrap();
    assert_eq!(policy.reload().unwrap(), ReloadStatus::Changed);
    agent.ask(policy.clone()).await.assert_admitted();
    fs::write(files.path("data.json"), r#"{"is_open": false}"#).unwrap();
    assert_eq!(policy.reload().unwrap(), ReloadStatus::Changed);
    agent.ask(policy).await.assert_refused("policy");
}

#[tokio::test]
async fn a_broken_file_leaves_the_current_policy_in_use() {
    let (files, agent) = (Files::new(), Caller::agent().await);
    let policy = files.policy();
    for (text, kind) in [
        ("package test\n\nallow := ", RegoErrorKind::Invalid),
        ("package test\n\nother := true", RegoErrorKind::RuleMissing),
        ("package other\n\nallow := true", RegoErrorKind::RuleMissing),
        ("", RegoErrorKind::Invalid),
    ] {
        fs::write(files.path("test.rego"), text).unwrap();
        match policy.reload() {
            Err(error) => assert_eq!(error.kind(), kind, "{text}: {error}"),
            Ok(_) => panic!("{text} was accepted"),
        }
        agent.ask(policy.clone()).await.assert_admitted();
    }
    files.allow("false");
    // (172)
    fs::write(files.path("data.json"), r#"{"test": {"allow": true}}"#).unwrap();
    assert_eq!(policy.reload().unwrap_err().kind(), RegoErrorKind::Invalid);
    agent.ask(policy.clone()).await.assert_admitted();
    fs::write(files.path("data.json"), "{}").unwrap();
    fs::remove_file(files.path("test.rego")).unwrap();
    assert_eq!(policy.reload().unwrap_err().kind(), RegoErrorKind::Unreadable);
    agent.ask(policy.clone()).await.assert_admitted();
    files.allow("false");
    assert_eq!(policy.reload().unwrap(), ReloadStatus::Changed);
    agent.ask(policy).await.assert_refused("policy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_reloads_leave_the_latest_version_in_use() {
    let (files, agent) = (Files::new(), Caller::agent().await);
    let policy = files.policy();
    for round in 0..50 {
        let is_open = round % 2 == 1;
        let others: Vec<_> = (0..3)
            .map(|_| {
                let policy = policy.clone();
                std::thread::spawn(move || policy.reload())
            })
            .collect();
        files.allow(if is_open { "true" } else { "false" });
        policy.reload().unwrap();
        for other in others {
            // The half of a file that is being written is not a policy.
            drop(other.join().unwrap());
        }
        assert_eq!(agent.ask(policy.clone()).await.status, if is_open { 200 } else { 403 }, "{round}");
    }
}

/// Waits until the policy admits or refuses.
async fn until(agent: &Caller, policy: &RegoPolicy, status: u16) {
    let changed = async {
        while agent.ask(policy.clone()).await.status != status {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), changed).await.unwrap_or_else(|_| panic!("not reloaded"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watched_files_are_reloaded_and_broken_ones_are_not() {
    let (files, agent) = (Files::new(), Caller::agent().await);
    let policy = files.policy().watch(Duration::from_millis(5));
    files.allow("false");
    until(&agent, &policy, 403).await;
    fs::write(files.path("test.rego"), "broken").unwrap();
    agent.ask(policy.clone()).await.assert_refused("policy");
    files.allow("true");
    until(&agent, &policy, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_reloaded_under_load_and_each_request_is_decided_by_one_version() {
    let (files, agent) = (Files::new(), Caller::agent().await);
    // The rule and the data of a version belong together: a mixture refuses.
    let write = |version: usize| {
        let data = format!(r#"{{"versions": {{"current": {version}}}}}"#);
        let policy = format!("package test\n\nallow := data.versions.current == {version}\n");
        fs::write(files.path("both.rego"), policy).unwrap();
        fs::write(files.path("data.json"), data).unwrap();
    };
    write(0);
    let builder = RegoPolicy::builder("data.test.allow").file(files.path("both.rego"));
    let policy = builder.data_file(files.path("data.json")).build().unwrap();
    let (is_done, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (agent, policy, is_done, requests) =
                (agent.clone(), policy.clone(), Arc::clone(&is_done), Arc::clone(&requests));
            tokio::spawn(async move {
                while !is_done.load(Ordering::Relaxed) {
                    agent.ask(policy.clone()).await.assert_admitted();
                    requests.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for version in 1..=50 {
        write(version);
        assert_eq!(policy.reload().unwrap(), ReloadStatus::Changed);
        let seen = requests.load(Ordering::Relaxed);
        while requests.load(Ordering::Relaxed) < seen + 4 && !load.iter().any(|task| task.is_finished()) {
            tokio::task::yield_now().await;
        }
    }
    is_done.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    assert!(requests.load(Ordering::Relaxed) >= 200);
}
