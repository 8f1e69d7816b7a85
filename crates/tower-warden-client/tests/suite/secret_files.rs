//! Secrets in files: Docker, Kubernetes, systemd.

use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;
use tower_warden::ManualClock;
use tower_warden_client::secret::{
    FileSecrets, Polling, Secret, SecretError, SecretErrorKind, SecretSource, Versioned,
};

use crate::server::{Log, NOW, environment, seconds};

/// A directory with the file `key`, and a source that reads it every ten seconds of a clock.
struct Mounted {
    directory: TempDir,
    secrets: FileSecrets,
    clock: ManualClock,
}

impl Mounted {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("key"), "first\n").unwrap();
        let (environment, clock) = environment();
        let polling = Polling::default().interval(seconds(10)).overlap(seconds(60)).environment(&environment);
        let secrets = FileSecrets::new(directory.path()).polling(polling);
        Self { directory, secrets, clock }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    async fn get(&self, name: &str) -> Result<Versioned<Secret>, SecretError> {
        self.secrets.get(name).wait().await
    }

    async fn current(&self) -> String {
        self.get("key").await.unwrap().current().expose().to_owned()
    }
}

#[tokio::test]
async fn a_file_is_read_again_after_the_interval_and_not_before() {
    let mounted = Mounted::new();
    assert_eq!(mounted.current().await, "first");
    fs::write(mounted.path("key"), "second\n").unwrap();
    mounted.clock.advance(seconds(9));
    assert_eq!(mounted.current().await, "first");
    mounted.clock.advance(seconds(1));
    assert_eq!(mounted.current().await, "second");
}

#[tokio::test]
async fn both_values_are_valid_until_the_overlap_ends() {
    let mounted = Mounted::new();
    assert_eq!(mounted.get("key").await.unwrap().version(), 1);
    fs::write(mounted.path("key"), "second").unwrap();
    mounted.clock.advance(seconds(10));

    let rotated = mounted.get("key").await.unwrap();
    assert_eq!((rotated.version(), rotated.previous_until()), (2, Some(NOW + seconds(70))));
    let previous = rotated.previous(NOW + seconds(69)).unwrap();
    assert_eq!(previous.expose(), "first");
    assert!(rotated.previous(NOW + seconds(70)).is_none());

    mounted.clock.advance(seconds(60));
    assert_eq!(mounted.get("key").await.unwrap().previous_until(), None);
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_extend_the_overlap() {
    let mounted = Mounted::new();
    assert_eq!(mounted.current().await, "first");
    fs::write(mounted.path("key"), "second").unwrap();
    mounted.clock.advance(seconds(10));
    assert_eq!(mounted.current().await, "second");

    mounted.clock.set(NOW - seconds(86_400));
    mounted.clock.advance(seconds(59));
    assert!(mounted.get("key").await.unwrap().previous_until().is_some());
    mounted.clock.advance(seconds(1));
    assert_eq!(mounted.get("key").await.unwrap().previous_until(), None);
}

/// A volume of Kubernetes: the files are links into `..data`, which is a link to a directory that is replaced as a whole.
fn mount_volume(directory: &Path, version: &str, content: &str) {
    let data = directory.join(format!("..{version}"));
    fs::create_dir(&data).unwrap();
    fs::write(data.join("key"), content).unwrap();
    symlink(format!("..{version}"), directory.join("..data_tmp")).unwrap();
    fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
}

#[tokio::test]
async fn a_volume_of_kubernetes_is_swapped() {
    let mounted = Mounted::new();
    let directory = mounted.directory.path();
    fs::remove_file(mounted.path("key")).unwrap();
    mount_volume(directory, "2026_11_15_00_00_00", "first");
    symlink("..data/key", mounted.path("key")).unwrap();
    let mut changes = mounted.secrets.changes();
    assert_eq!(mounted.current().await, "first");

    mount_volume(directory, "2026_11_15_00_01_00", "second");
    fs::remove_dir_all(directory.join("..2026_11_15_00_00_00")).unwrap();
    mounted.clock.advance(seconds(10));
    assert_eq!(mounted.current().await, "second");
    assert_eq!(changes.changed().await, Some(1));
}

#[tokio::test]
async fn a_file_that_is_replaced_by_the_same_content_is_no_change() {
    let mounted = Mounted::new();
    assert_eq!(mounted.current().await, "first");
    fs::write(mounted.path("new"), "first\r\n").unwrap();
    fs::rename(mounted.path("new"), mounted.path("key")).unwrap();
    mounted.clock.advance(seconds(10));
    assert_eq!(mounted.get("key").await.unwrap().version(), 1);
}

#[tokio::test]
async fn the_last_value_remains_in_use_when_a_file_vanishes() {
    let (log, _guard) = Log::listen();
    let mounted = Mounted::new();
    assert_eq!(mounted.current().await, "first");
    fs::remove_file(mounted.path("key")).unwrap();
    for _ in 0..3 {
        mounted.clock.advance(seconds(10));
        assert_eq!(mounted.current().await, "first");
    }
    assert_eq!(log.count("its last value remains in use"), 1);

    fs::write(mounted.path("key"), "").unwrap();
    mounted.clock.advance(seconds(10));
    assert_eq!(mounted.current().await, "first");

    fs::write(mounted.path("key"), "second").unwrap();
    mounted.clock.advance(seconds(10));
    assert_eq!(mounted.current().await, "second");
    let text = log.text();
    assert!(!text.contains("first") && !text.contains("second"), "{text}");
}

#[tokio::test]
async fn a_file_that_appears_later_is_found() {
    let mounted = Mounted::new();
    assert_eq!(mounted.get("later").await.unwrap_err().kind(), SecretErrorKind::Missing);
    fs::write(mounted.path("later"), "value").unwrap();
    assert_eq!(mounted.get("later").await.unwrap().current().expose(), "value");
}

#[tokio::test]
async fn one_line_ending_is_not_a_part_of_the_secret() {
    let mounted = Mounted::new();
    for (name, content, expected) in
        [("a", "x\n", "x"), ("b", "x\r\n", "x"), ("c", "x\n\n", "x\n"), ("d", " x ", " x ")]
    {
        fs::write(mounted.path(name), content).unwrap();
        assert_eq!(mounted.get(name).await.unwrap().current().expose(), expected);
    }
}

#[tokio::test]
async fn files_that_are_no_secrets_are_refused_by_name() {
    let mounted = Mounted::new();
    fs::write(mounted.path("binary"), b"sk_live_\xff\xfe").unwrap();
    fs::write(mounted.path("long"), "a".repeat((1 << 20) + 1)).unwrap();
    fs::write(mounted.path("empty"), "\n").unwrap();
    fs::create_dir(mounted.path("folder")).unwrap();
    for (name, kind) in [
        ("binary", SecretErrorKind::Format),
        ("long", SecretErrorKind::Format),
        ("folder", SecretErrorKind::Format),
        ("empty", SecretErrorKind::Missing),
        ("absent", SecretErrorKind::Missing),
    ] {
        let error = mounted.get(name).await.unwrap_err();
        assert_eq!((error.kind(), error.name()), (kind, name));
        assert!(!format!("{error} {error:?}").contains("sk_live"));
    }
}

/// (209)
#[tokio::test]
async fn a_name_that_leaves_the_directory_is_refused() {
    let mounted = Mounted::new();
    for name in ["", ".", "..", "../key", "/etc/passwd", "..data", "a/b", "a\\b", "key\0"] {
        assert_eq!(mounted.get(name).await.unwrap_err().kind(), SecretErrorKind::Name, "{name:?}");
    }
}

#[tokio::test]
async fn callers_at_the_same_time_have_the_same_version() {
    let mounted = Mounted::new();
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let secrets = mounted.secrets.clone();
            tokio::spawn(async move { secrets.get("key").wait().await.unwrap().version() })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_polls_in_the_background_notifies_of_changes() {
    let mounted = Mounted::new();
    let secrets = mounted.secrets.clone().poll_in_background();
    assert!(secrets.get("key").wait().await.is_ok());
    let mut changes = secrets.changes();
    fs::write(mounted.path("key"), "second").unwrap();
    assert_eq!(changes.changed().await, Some(1));
    assert_eq!(mounted.current().await, "second");
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_source() {
    let mounted = Mounted::new();
    let mut changes = mounted.secrets.clone().poll_in_background().changes();
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 1);
    drop(mounted);
    assert_eq!(changes.changed().await, None);
    tokio::task::yield_now().await;
    assert_eq!(metrics.num_alive_tasks(), 0);
}
