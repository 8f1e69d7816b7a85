//! Secrets that are read at the same time, of a server that is slow.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::watch;
use tower_warden::{Eventual, Unavailable, fetch::Fetch};
use tower_warden_client::secret::{EnvironmentSecrets, Polling, SecretErrorKind, SecretSource, VaultSecrets};

use crate::server::{environment, seconds};

/// A server whose secrets have the value `n` for the n-th request of the path, and whose slow paths wait. It is down for the
/// path `lost`.
#[derive(Clone)]
struct Slow(Arc<State>);

struct State {
    counts: Mutex<HashMap<String, u64>>,
    slow: watch::Sender<HashSet<&'static str>>,
}

impl Slow {
    fn new() -> Self {
        Self(Arc::new(State { counts: Mutex::default(), slow: watch::Sender::default() }))
    }

    fn hold(&self, path: &'static str) {
        self.0.slow.send_if_modified(|slow| slow.insert(path));
    }

    fn release(&self, path: &str) {
        self.0.slow.send_if_modified(|slow| slow.remove(path));
    }

    fn count(&self, path: &str) -> u64 {
        self.0.counts.lock().unwrap().get(path).copied().unwrap_or_default()
    }

    fn secrets(&self, polling: Polling) -> VaultSecrets {
        let token = EnvironmentSecrets::of([("VAULT_TOKEN", "hvs.0123456789abcdef")]);
        VaultSecrets::new(self.clone(), "https://vault.internal", token, "VAULT_TOKEN").unwrap().polling(polling)
    }
}

impl Fetch for Slow {
    fn fetch(&self, request: Request<Bytes>, _: usize) -> Eventual<Result<Response<Bytes>, Unavailable>> {
        let path = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let number = *self.0.counts.lock().unwrap().entry(path.clone()).and_modify(|count| *count += 1).or_insert(1);
        let mut slow = self.0.slow.subscribe();
        Eventual::later(async move {
            slow.wait_for(|slow| !slow.contains(path.as_str())).await.unwrap();
            if path == "lost" {
                return Err(Unavailable::new("the server is down"));
            }
            let body = format!(r#"{{"data":{{"data":{{"value":"{number}"}},"metadata":{{"version":{number}}}}}}}"#);
            Ok(Response::new(body.into()))
        })
    }
}

async fn value(secrets: &VaultSecrets, name: &str) -> String {
    secrets.get(name).wait().await.unwrap().current().expose().to_owned()
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_slow_reading_of_one_secret_does_not_delay_another() {
    let slow = Slow::new();
    let secrets = slow.secrets(Polling::default());
    slow.hold("billing");
    let mut billing = pin!(value(&secrets, "billing"));
    assert!(poll_once(billing.as_mut()).is_pending());
    assert_eq!(value(&secrets, "reports").await, "1");
    slow.release("billing");
    assert_eq!(billing.await, "1");
}

#[tokio::test]
async fn the_last_value_is_returned_while_another_caller_reads_the_secret_again() {
    let (environment, clock) = environment();
    let slow = Slow::new();
    let secrets = slow.secrets(Polling::default().environment(&environment));
    assert_eq!(value(&secrets, "billing").await, "1");
    clock.advance(seconds(10));
    slow.hold("billing");
    let mut reader = Box::pin(value(&secrets, "billing"));
    assert!(poll_once(reader.as_mut()).is_pending());
    for _ in 0..100 {
        assert!(matches!(secrets.get("billing"), Eventual::Now(Ok(last)) if last.current().expose() == "1"));
    }
    assert_eq!(slow.count("billing"), 2, "one reading at a time");
    slow.release("billing");
    assert_eq!(reader.await, "2");
    assert_eq!(value(&secrets, "billing").await, "2");
}

#[tokio::test]
async fn a_reader_that_gives_up_leaves_the_reading_to_the_next_one() {
    let slow = Slow::new();
    let secrets = slow.secrets(Polling::default());
    slow.hold("billing");
    let mut reader = Box::pin(value(&secrets, "billing"));
    let mut next = Box::pin(value(&secrets, "billing"));
    assert!(poll_once(reader.as_mut()).is_pending() && poll_once(next.as_mut()).is_pending());
    assert_eq!(slow.count("billing"), 1);
    drop(reader);
    slow.release("billing");
    assert_eq!((next.await.as_str(), slow.count("billing")), ("2", 2));
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_a_caller_gives_up_is_not_begun_again_by_the_next_one() {
    let (environment, clock) = environment();
    let slow = Slow::new();
    let secrets = slow.secrets(Polling::default().environment(&environment));
    assert_eq!(value(&secrets, "billing").await, "1");
    clock.advance(seconds(10));
    slow.hold("billing");
    let limited = async || tokio::time::timeout(seconds(2), value(&secrets, "billing")).await;
    limited().await.unwrap_err();
    assert_eq!((limited().await.unwrap().as_str(), slow.count("billing")), ("1", 2));
    slow.release("billing");
    clock.advance(seconds(10));
    assert_eq!(value(&secrets, "billing").await, "3");
}

#[tokio::test]
async fn callers_that_waited_for_a_failed_reading_do_not_read_one_after_another() {
    let slow = Slow::new();
    let secrets = slow.secrets(Polling::default());
    slow.hold("lost");
    let mut readings: Vec<_> = (0..100).map(|_| Box::pin(secrets.get("lost").wait())).collect();
    for reading in &mut readings {
        assert!(poll_once(reading.as_mut()).is_pending());
    }
    slow.release("lost");
    for reading in readings {
        assert_eq!(reading.await.unwrap_err().kind(), SecretErrorKind::Unavailable);
    }
    assert_eq!(slow.count("lost"), 1);
    // A caller that comes later has not waited, and reads.
    secrets.get("lost").wait().await.unwrap_err();
    assert_eq!(slow.count("lost"), 2);
}

#[tokio::test]
async fn a_caller_that_comes_after_a_failure_reads_even_if_others_still_receive_it() {
    let slow = Slow::new();
    let secrets = slow.secrets(Polling::default());
    slow.hold("lost");
    let mut readings: Vec<_> = (0..3).map(|_| Box::pin(secrets.get("lost").wait())).collect();
    for reading in &mut readings {
        assert!(poll_once(reading.as_mut()).is_pending());
    }
    slow.release("lost");
    readings.remove(0).await.unwrap_err();
    // The lock is that of the next reader now, so this one waits for it.
    let mut late = Box::pin(secrets.get("lost").wait());
    assert!(poll_once(late.as_mut()).is_pending());
    for reading in readings {
        reading.await.unwrap_err();
    }
    assert_eq!(slow.count("lost"), 1);
    late.await.unwrap_err();
    assert_eq!(slow.count("lost"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_background_task_reads_secrets_at_the_same_time() {
    let slow = Slow::new();
    let secrets = slow.secrets(Polling::default()).poll_in_background();
    for name in ["billing", "reports"] {
        assert_eq!(value(&secrets, name).await, "1");
    }
    slow.hold("billing");
    tokio::time::sleep(seconds(11)).await;
    assert_eq!((slow.count("billing"), slow.count("reports")), (2, 2));
    assert!(matches!(secrets.get("billing"), Eventual::Now(Ok(last)) if last.current().expose() == "1"));
    assert!(matches!(secrets.get("reports"), Eventual::Now(Ok(last)) if last.current().expose() == "2"));
}
