//! The parts that are specific to Postgres: notifications of every node, and the loss of the server.

use std::{
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{PgPool, query, query_scalar};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{sleep, timeout},
};
use tower_warden::{
    api_key::{KeyChange, KeyErrorKind, KeyStore, KeyUse},
    testing::conformance::{key_store, key_store_changes, key_store_management, key_store_management_changes},
};
use tower_warden_sql::SqlKeyStore;

use crate::{
    conformance::assert_conforms,
    server::{Server, free_port},
    support::{at, id, kind, record, watch},
};

/// The time limit of each step; far longer than it should take.
const TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn store_conforms() {
    let server = Server::shared();
    assert_conforms(async || SqlKeyStore::connect(&server.database().await).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn store_follows_the_suites() {
    let server = Server::shared();
    let make = async || SqlKeyStore::connect(&server.database().await).await.unwrap();
    key_store(make).await;
    key_store_changes(make).await;
    key_store_management(make).await;
    key_store_management_changes(make).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn new_database_is_migrated_once_by_concurrent_stores() {
    let server = Server::shared();
    let url = server.database().await;
    let connect = || async { SqlKeyStore::connect(&url).await.unwrap() };
    let stores = tokio::join!(connect(), connect(), connect());
    stores.0.insert(record("key_1")).wait().await.unwrap();
    assert!(stores.2.get(&id("key_1")).wait().await.unwrap().is_some());
    let versions = query_scalar::<_, i64>("SELECT count(*) FROM tower_warden_schema");
    assert_eq!(versions.fetch_one(&PgPool::connect(&url).await.unwrap()).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn one_of_two_concurrent_rotations_succeeds() {
    let nodes = Nodes::connect().await;
    for turn in 0..20 {
        let (key, new) = (format!("key_{turn}"), [format!("new_{turn}_a"), format!("new_{turn}_b")]);
        nodes.here.insert(record(&key)).wait().await.unwrap();
        let first = nodes.here.rotate(&id(&key), record(&new[0]), at(9)).wait();
        let second = nodes.there.rotate(&id(&key), record(&new[1]), at(9)).wait();
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_ok() != second.is_ok());
        assert_eq!(kind(first.and(second)), KeyErrorKind::Inactive);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn concurrent_writes_of_last_uses_do_not_deadlock() {
    let nodes = Nodes::connect().await;
    let names: Vec<_> = (0..50).map(|number| format!("key_{number}")).collect();
    for name in &names {
        nodes.here.insert(record(name)).wait().await.unwrap();
    }
    for turn in 1..30 {
        let mut uses: Vec<_> = names.iter().map(|name| KeyUse::new(id(name), at(turn))).collect();
        let forwards = nodes.here.touch(&uses).wait();
        uses.reverse();
        let (forwards, backwards) = tokio::join!(forwards, nodes.there.touch(&uses).wait());
        forwards.and(backwards).unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn every_change_is_reported_to_the_other_node() {
    let nodes = Nodes::connect().await;
    let mut changes = watch(&nodes.there);
    nodes.here.insert(record("key_1")).wait().await.unwrap();
    expect(&mut changes, &KeyChange::Added).await;
    nodes.here.rotate(&id("key_1"), record("key_2"), at(9)).wait().await.unwrap();
    expect(&mut changes, &KeyChange::Changed(id("key_1"))).await;
    nodes.here.revoke(&id("key_2"), at(9)).wait().await.unwrap();
    expect(&mut changes, &KeyChange::Changed(id("key_2"))).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn revocation_is_reported_to_the_other_node_soon() {
    let nodes = Nodes::connect().await;
    let mut changes = watch(&nodes.there);
    let (mut took, mut took_since_done) = (Vec::new(), Vec::new());
    for turn in 0..200 {
        let key = record(&format!("key_{turn}"));
        nodes.here.insert(key.clone()).wait().await.unwrap();
        let begun = Instant::now();
        nodes.here.revoke(&key.id, at(9)).wait().await.unwrap();
        let done = Instant::now();
        expect(&mut changes, &KeyChange::Changed(key.id)).await;
        took.push(begun.elapsed());
        took_since_done.push(done.elapsed());
    }
    for (since, mut times) in [("call", took), ("return", took_since_done)] {
        times.sort_unstable();
        eprintln!("reported after the {since} of `revoke`: median {:?}, longest {:?}", times[100], times[199]);
    }
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn changes_by_hand_are_reported() {
    let nodes = Nodes::connect().await;
    let mut changes = watch(&nodes.there);
    for name in ["key_1", "key_2"] {
        nodes.here.insert(record(name)).wait().await.unwrap();
    }
    let changed = |name| KeyChange::Changed(id(name));
    let by_hand = [
        ("UPDATE tower_warden_api_keys SET scopes = 'read' WHERE id = 'key_1'", changed("key_1")),
        ("UPDATE tower_warden_api_keys SET expires_at = 7 WHERE id = 'key_2'", changed("key_2")),
        ("UPDATE tower_warden_api_keys SET id = 'key_3' WHERE id = 'key_2'", changed("key_2")),
        ("UPDATE tower_warden_api_keys SET tenant = 'acme' WHERE id = 'key_3'", changed("key_3")),
        ("DELETE FROM tower_warden_api_keys WHERE id = 'key_1'", changed("key_1")),
        ("TRUNCATE tower_warden_api_keys", KeyChange::Missed),
    ];
    for (statement, change) in by_hand {
        query(statement).execute(&nodes.pool).await.unwrap();
        expect(&mut changes, &change).await;
    }
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn unknown_payload_may_report_any_change() {
    let nodes = Nodes::connect().await;
    let mut changes = watch(&nodes.there);
    query("SELECT pg_notify('tower_warden_keys', 'no id')").execute(&nodes.pool).await.unwrap();
    expect(&mut changes, &KeyChange::Missed).await;
    let insert = "INSERT INTO tower_warden_api_keys (id, digest, owner, name, scopes, networks, created_at, metadata) \
         VALUES (repeat('x', 9000), 'sha256:', '', '', '', '', 0, '{}')";
    query(insert).execute(&nodes.pool).await.unwrap();
    query("DELETE FROM tower_warden_api_keys").execute(&nodes.pool).await.unwrap();
    expect(&mut changes, &KeyChange::Missed).await;
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn last_use_is_not_reported() {
    let nodes = Nodes::connect().await;
    for name in ["used", "marker"] {
        nodes.here.insert(record(name)).wait().await.unwrap();
    }
    let mut changes = watch(&nodes.there);
    nodes.here.touch(&[KeyUse::new(id("used"), at(7))]).wait().await.unwrap();
    let by_hand = "UPDATE tower_warden_api_keys SET last_used_at = 9, owner = owner WHERE id = 'used'";
    query(by_hand).execute(&nodes.pool).await.unwrap();
    nodes.here.revoke(&id("marker"), at(9)).wait().await.unwrap();
    let before = expect(&mut changes, &KeyChange::Changed(id("marker"))).await;
    assert!(!before.contains(&KeyChange::Changed(id("used"))));
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn terminated_listener_reports_missed_changes_and_reconnects() {
    let nodes = Nodes::connect().await;
    nodes.here.insert(record("key_1")).wait().await.unwrap();
    let mut changes = watch(&nodes.there);
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = 'tower-warden listener' AND datname = current_database()";
    query(terminate).execute(&nodes.pool).await.unwrap();
    expect(&mut changes, &KeyChange::Missed).await;
    expect(&mut changes, &KeyChange::Missed).await;
    nodes.here.revoke(&id("key_1"), at(9)).wait().await.unwrap();
    expect(&mut changes, &KeyChange::Changed(id("key_1"))).await;
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn store_recovers_when_the_server_restarts() {
    for end in [Server::stop, Server::kill] {
        let nodes = Nodes::on(Arc::new(Server::start())).await;
        nodes.here.insert(record("key_1")).wait().await.unwrap();
        let mut changes = watch(&nodes.there);
        end(&nodes.server);
        expect(&mut changes, &KeyChange::Missed).await;
        assert!(in_time(nodes.here.find(&record("key_1").digest).wait()).await.is_err());
        assert_eq!(kind(in_time(nodes.here.revoke(&id("key_1"), at(9)).wait()).await), KeyErrorKind::Unavailable);
        nodes.server.restart();
        expect(&mut changes, &KeyChange::Missed).await;
        assert!(in_time(nodes.here.find(&record("key_1").digest).wait()).await.unwrap().is_some());
        nodes.here.revoke(&id("key_1"), at(9)).wait().await.unwrap();
        expect(&mut changes, &KeyChange::Changed(id("key_1"))).await;
    }
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn unresponsive_server_is_detected() {
    let nodes = Nodes::on(Arc::new(Server::start())).await;
    nodes.here.insert(record("key_1")).wait().await.unwrap();
    let mut changes = watch(&nodes.there);
    nodes.server.pause();
    // More look-ups than connections of the pool: none of these may be lost for good.
    for _ in 0..3 {
        let look_ups = (0..20).map(|_| in_time(nodes.here.find(&record("key_1").digest).wait()));
        assert!(futures_util::future::join_all(look_ups).await.iter().all(Result::is_err));
    }
    expect(&mut changes, &KeyChange::Missed).await;
    nodes.server.resume();
    expect(&mut changes, &KeyChange::Missed).await;
    assert!(in_time(nodes.here.find(&record("key_1").digest).wait()).await.unwrap().is_some());
    nodes.here.revoke(&id("key_1"), at(9)).wait().await.unwrap();
    expect(&mut changes, &KeyChange::Changed(id("key_1"))).await;
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn connecting_to_an_absent_server_fails_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [free_port(), silent.local_addr().unwrap().port()] {
        let url = format!("postgres://postgres:s3cret@127.0.0.1:{port}/keys");
        let error = in_time(SqlKeyStore::connect(&url)).await.unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::Unavailable);
        assert!(!format!("{error:?}").contains("s3cret"));
    }
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn last_clone_closes_the_connections() {
    let nodes = Nodes::connect().await;
    let Nodes { server: _server, here, there, pool } = nodes;
    let another = here.clone();
    assert_eq!(connections(&pool, "listener").await, 2);
    drop((here, there));
    until(|| async { connections(&pool, "listener").await == 1 }).await;
    another.insert(record("key_1")).wait().await.unwrap();
    drop(another);
    until(|| async { connections(&pool, "").await == 0 }).await;
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn pool_of_the_application_is_not_used_for_listening() {
    let nodes = Nodes::connect().await;
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = options.connect_with((*nodes.pool.connect_options()).clone()).await.unwrap();
    let store = SqlKeyStore::postgres(pool.clone()).await.unwrap();
    let mut changes = watch(&nodes.there);
    store.insert(record("key_1")).wait().await.unwrap();
    expect(&mut changes, &KeyChange::Added).await;
    pool.close().await;
    assert!(store.get(&id("key_1")).wait().await.is_err());
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn newer_schema_is_refused() {
    let nodes = Nodes::connect().await;
    query("INSERT INTO tower_warden_schema VALUES (1000)").execute(&nodes.pool).await.unwrap();
    assert_eq!(kind(SqlKeyStore::postgres(nodes.pool).await), KeyErrorKind::Configuration);
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn migrated_schema_needs_no_right_to_create_tables() {
    let nodes = Nodes::connect().await;
    let prepare = "CREATE ROLE clerk LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
         GRANT SELECT, INSERT, UPDATE ON tower_warden_api_keys TO clerk; GRANT SELECT ON tower_warden_schema TO clerk";
    sqlx::raw_sql(prepare).execute(&nodes.pool).await.unwrap();
    let options = (*nodes.pool.connect_options()).clone().username("clerk");
    let store = SqlKeyStore::postgres(PgPool::connect_with(options).await.unwrap()).await.unwrap();
    store.insert(record("key_1")).wait().await.unwrap();
    let again = SqlKeyStore::connect(&nodes.server.database().await).await.unwrap();
    assert!(again.get(&id("key_1")).wait().await.unwrap().is_none());
}

/// Two nodes on one database, and a pool of the operator.
struct Nodes {
    server: Arc<Server>,
    here: SqlKeyStore,
    there: SqlKeyStore,
    pool: PgPool,
}

impl Nodes {
    async fn connect() -> Self {
        Self::on(Server::shared()).await
    }

    async fn on(server: Arc<Server>) -> Self {
        let url = server.database().await;
        let connect = |name| format!("{url}?application_name=tower-warden%20{name}");
        let here = SqlKeyStore::connect(&connect("here")).await.unwrap();
        let there = SqlKeyStore::connect(&connect("there")).await.unwrap();
        Self { server, here, there, pool: PgPool::connect(&url).await.unwrap() }
    }
}

/// Waits for a change, and returns the changes before it.
async fn expect(changes: &mut UnboundedReceiver<KeyChange>, change: &KeyChange) -> Vec<KeyChange> {
    let mut before = Vec::new();
    loop {
        let reported = in_time(changes.recv()).await.unwrap();
        if reported == *change {
            return before;
        }
        before.push(reported);
    }
}

async fn connections(pool: &PgPool, name: &str) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name LIKE 'tower-warden ' || $1 || '%'";
    query_scalar(count).bind(name).fetch_one(pool).await.unwrap()
}

async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    in_time(async {
        while !condition().await {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    timeout(TIMEOUT, work).await.expect("no time-out")
}
