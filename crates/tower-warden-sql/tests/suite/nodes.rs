//! Several nodes on one Postgres server, which is killed, stopped, paused and restarted under load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tower_warden::{
    api_key::{ApiKeys, KeyFormat, NewKey},
    layer::AuthLayer,
};
use tower_warden_sql::SqlKeyStore;

use crate::{
    server::Server,
    support::{App, app, bearer, send},
};

/// The time limit of each step.
const TIMEOUT: Duration = Duration::from_secs(60);

struct Node {
    keys: ApiKeys,
    app: App,
}

impl Node {
    /// Starts a node that caches for `lifetime`.
    async fn start(url: &str, lifetime: Duration) -> Self {
        let store = SqlKeyStore::connect(url).await.unwrap();
        let keys = ApiKeys::builder(store, KeyFormat::new("sk_agent").unwrap());
        let keys = keys.positive_ttl(lifetime).negative_ttl(lifetime).build();
        Self { app: app(&AuthLayer::new(keys.clone())), keys }
    }

    async fn status(&self, key: &str) -> u16 {
        send(self.app.clone(), bearer(key)).await.status.as_u16()
    }
}

async fn until(mut holds: impl AsyncFnMut() -> bool, what: &str) -> Duration {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < TIMEOUT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    start.elapsed()
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn revocation_reaches_the_other_node_long_before_its_cache_expires() {
    let server = Server::shared();
    let url = server.database().await;
    let (one, other) =
        (Node::start(&url, Duration::from_secs(3600)).await, Node::start(&url, Duration::from_secs(3600)).await);
    let mut latencies = Vec::new();
    for _ in 0..20 {
        let (record, key) = one.keys.mint(NewKey::new("alice")).await.unwrap();
        assert_eq!((one.status(key.expose()).await, other.status(key.expose()).await), (200, 200));
        one.keys.revoke(&record.id).await.unwrap();
        assert_eq!(one.status(key.expose()).await, 401, "at once on the node itself");
        latencies.push(until(async || other.status(key.expose()).await == 401, "the revocation").await);
    }
    latencies.sort();
    println!("revocation to the other node: median {:?}, max {:?}", latencies[10], latencies[19]);
    // A lost connection, after which cached keys are dropped, is noticed after ten seconds: these were notifications. Usually,
    // they take a few milliseconds.
    assert!(latencies[10] < Duration::from_secs(10), "{latencies:?}");
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn rotation_without_grace_reaches_the_other_node() {
    let server = Server::shared();
    let url = server.database().await;
    let (one, other) =
        (Node::start(&url, Duration::from_secs(3600)).await, Node::start(&url, Duration::from_secs(3600)).await);
    let (record, key) = one.keys.mint(NewKey::new("alice")).await.unwrap();
    assert_eq!(other.status(key.expose()).await, 200);
    let (_, new_key) = one.keys.rotate(&record.id, Duration::from_secs(0)).await.unwrap();
    until(async || other.status(key.expose()).await == 401, "the rotation").await;
    assert_eq!(other.status(new_key.expose()).await, 200);
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn key_revoked_while_a_node_was_disconnected_is_refused_after_it_reconnects() {
    let server = Server::start();
    let url = server.database().await;
    let (disconnected, other) =
        (Node::start(&url, Duration::from_secs(3600)).await, Node::start(&url, Duration::from_secs(3600)).await);
    let (record, key) = disconnected.keys.mint(NewKey::new("alice")).await.unwrap();
    assert_eq!(disconnected.status(key.expose()).await, 200);
    server.kill();
    // The loss of the connection invalidates the cache.
    until(async || disconnected.status(key.expose()).await == 503, "the loss").await;
    server.restart();
    until(async || other.keys.revoke(&record.id).await.is_ok(), "the store").await;
    until(async || disconnected.status(key.expose()).await == 401, "the revocation").await;
}

/// The number of responses to requests with keys of one kind.
#[derive(Default)]
struct Tally {
    expected: AtomicU64,
    unavailable: AtomicU64,
    wrong: AtomicU64,
}

impl Tally {
    fn count(&self, status: u16, expected: u16) {
        let counter = match status {
            503 => &self.unavailable,
            status if status == expected => &self.expected,
            _ => &self.wrong,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    async fn reaches(counter: &AtomicU64, more: u64, what: &str) {
        let goal = counter.load(Ordering::Relaxed) + more;
        until(async || counter.load(Ordering::Relaxed) >= goal, what).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn valid_keys_are_never_401_and_invalid_ones_never_200_while_the_store_fails_and_recovers() {
    let server = Arc::new(Server::start());
    let node = Arc::new(Node::start(&server.database().await, Duration::from_secs(1)).await);
    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for index in 0..10 {
        valid.push(node.keys.mint(NewKey::new(format!("valid-{index}"))).await.unwrap().1.expose().to_owned());
        let (revoked, key) = node.keys.mint(NewKey::new("revoked")).await.unwrap();
        node.keys.revoke(&revoked.id).await.unwrap();
        invalid.push(key.expose().to_owned());
    }
    let (of_valid, of_invalid, is_done) =
        (Arc::new(Tally::default()), Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let load = |keys: Vec<String>, expected: u16, tally: &Arc<Tally>| {
        let (node, tally, is_done) = (Arc::clone(&node), Arc::clone(tally), Arc::clone(&is_done));
        tokio::spawn(async move {
            for index in 0.. {
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
                let unknown = KeyFormat::new("sk_agent").unwrap().generate().unwrap();
                // Every second invalid key is unknown, the others are revoked.
                let key =
                    if expected == 401 && index % 2 == 0 { unknown.expose() } else { &keys[index / 2 % keys.len()] };
                tally.count(node.status(key).await, expected);
                tokio::task::yield_now().await;
            }
        })
    };
    let loads: Vec<_> =
        (0..3).flat_map(|_| [load(valid.clone(), 200, &of_valid), load(invalid.clone(), 401, &of_invalid)]).collect();

    type Step = fn(&Server);
    let steps: [(&str, Step, Step); 3] = [
        ("killed", Server::kill, Server::restart),
        ("stopped", Server::stop, Server::restart),
        ("paused", Server::pause, Server::resume),
    ];
    for (name, down, up) in steps {
        Tally::reaches(&of_valid.expected, 100, "valid keys are admitted").await;
        Tally::reaches(&of_invalid.expected, 100, "invalid keys are refused").await;
        let step = |step: Step| {
            tokio::task::spawn_blocking({
                let server = Arc::clone(&server);
                move || step(&server)
            })
        };
        step(down).await.unwrap();
        Tally::reaches(&of_valid.unavailable, 3, name).await;
        Tally::reaches(&of_invalid.unavailable, 3, name).await;
        step(up).await.unwrap();
    }
    Tally::reaches(&of_valid.expected, 100, "valid keys are admitted again").await;
    Tally::reaches(&of_invalid.expected, 100, "invalid keys are refused again").await;
    is_done.store(true, Ordering::Relaxed);
    for load in loads {
        load.await.unwrap();
    }
    for (name, tally) in [("valid", &of_valid), ("invalid", &of_invalid)] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        println!("{name}: {} as expected, {} times 503", count(&tally.expected), count(&tally.unavailable));
        assert_eq!(count(&tally.wrong), 0, "{name}");
    }
    node.keys.flush().await.unwrap();
}
