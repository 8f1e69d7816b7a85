//! Several nodes on one Postgres, which is killed, stopped, paused and started again under load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tower_warden::{
    api_key::{ApiKeys, KeyFormat, NewKey, SqlKeyStore},
    layer::AuthLayer,
};

use crate::{
    server::Server,
    support::{App, app, bearer, seconds, send, unknown_key},
};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    keys: ApiKeys,
    app: App,
}

impl Node {
    /// With `lifetime` for what is cached.
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
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    start.elapsed()
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn a_revocation_on_one_node_reaches_the_other_long_before_its_cache_ends() {
    let server = Server::shared();
    let url = server.database().await;
    let (one, other) = (Node::start(&url, seconds(3600)).await, Node::start(&url, seconds(3600)).await);
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
    // What the README promises, fifty times what it takes here.
    assert!(latencies[10] < Duration::from_millis(100), "{latencies:?}");
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn a_rotation_without_grace_reaches_the_other_node() {
    let server = Server::shared();
    let url = server.database().await;
    let (one, other) = (Node::start(&url, seconds(3600)).await, Node::start(&url, seconds(3600)).await);
    let (record, key) = one.keys.mint(NewKey::new("alice")).await.unwrap();
    assert_eq!(other.status(key.expose()).await, 200);
    let (_, new_key) = one.keys.rotate(&record.id, seconds(0)).await.unwrap();
    until(async || other.status(key.expose()).await == 401, "the rotation").await;
    assert_eq!(other.status(new_key.expose()).await, 200);
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn what_was_revoked_while_a_node_did_not_hear_is_not_served_when_it_hears_again() {
    let server = Server::start();
    let url = server.database().await;
    let (deaf, other) = (Node::start(&url, seconds(3600)).await, Node::start(&url, seconds(3600)).await);
    let (record, key) = deaf.keys.mint(NewKey::new("alice")).await.unwrap();
    assert_eq!(deaf.status(key.expose()).await, 200);
    server.kill();
    // The loss of the connection drops what was cached.
    until(async || deaf.status(key.expose()).await == 503, "the loss").await;
    server.restart();
    until(async || other.keys.revoke(&record.id).await.is_ok(), "the store").await;
    until(async || deaf.status(key.expose()).await == 401, "the revocation").await;
}

/// What became of the requests of one kind.
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
async fn no_good_key_is_401_and_no_bad_one_200_while_the_store_dies_and_comes_back() {
    let server = Arc::new(Server::start());
    let node = Arc::new(Node::start(&server.database().await, seconds(1)).await);
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for index in 0..10 {
        good.push(node.keys.mint(NewKey::new(format!("good-{index}"))).await.unwrap().1.expose().to_owned());
        let (revoked, key) = node.keys.mint(NewKey::new("bad")).await.unwrap();
        node.keys.revoke(&revoked.id).await.unwrap();
        bad.push(key.expose().to_owned());
    }
    let (of_good, of_bad, is_over) =
        (Arc::new(Tally::default()), Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let load = |keys: Vec<String>, expected: u16, tally: &Arc<Tally>| {
        let (node, tally, is_over) = (Arc::clone(&node), Arc::clone(tally), Arc::clone(&is_over));
        tokio::spawn(async move {
            for index in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let unknown = unknown_key();
                // Among bad keys, every other one is one that nobody has.
                let key =
                    if expected == 401 && index % 2 == 0 { unknown.expose() } else { &keys[index / 2 % keys.len()] };
                tally.count(node.status(key).await, expected);
                tokio::task::yield_now().await;
            }
        })
    };
    let loads: Vec<_> =
        (0..3).flat_map(|_| [load(good.clone(), 200, &of_good), load(bad.clone(), 401, &of_bad)]).collect();

    type Step = fn(&Server);
    let steps: [(&str, Step, Step); 3] = [
        ("killed", Server::kill, Server::restart),
        ("stopped", Server::stop, Server::restart),
        ("paused", Server::pause, Server::resume),
    ];
    for (name, down, up) in steps {
        Tally::reaches(&of_good.expected, 100, "good keys are let in").await;
        Tally::reaches(&of_bad.expected, 100, "bad keys are refused").await;
        let step = |step: Step| {
            tokio::task::spawn_blocking({
                let server = Arc::clone(&server);
                move || step(&server)
            })
        };
        step(down).await.unwrap();
        Tally::reaches(&of_good.unavailable, 3, name).await;
        Tally::reaches(&of_bad.unavailable, 3, name).await;
        step(up).await.unwrap();
    }
    Tally::reaches(&of_good.expected, 100, "good keys are let in again").await;
    Tally::reaches(&of_bad.expected, 100, "bad keys are refused again").await;
    is_over.store(true, Ordering::Relaxed);
    for load in loads {
        load.await.unwrap();
    }
    for (name, tally) in [("good", &of_good), ("bad", &of_bad)] {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        println!("{name}: {} as expected, {} times 503", count(&tally.expected), count(&tally.unavailable));
        assert_eq!(count(&tally.wrong), 0, "{name}");
    }
    node.keys.flush().await.unwrap();
}
