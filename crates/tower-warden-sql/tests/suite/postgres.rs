//! What is particular to Postgres: it tells every node, and may be gone for a while.

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
use tower_warden::api_key::{KeyChange, KeyErrorKind, KeyStore, KeyUse, SqlKeyStore};

use crate::{
    server::{Server, free_port},
    sql::{at, behaves, id, kind, record, watch},
};

/// How long anything may take before the test fails; far longer than it should.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn a_store_in_postgres_behaves_as_any_other() {
    let server = Server::shared();
    behaves(async || SqlKeyStore::connect(&server.database().await).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn stores_that_start_at_once_migrate_a_fresh_database_once() {
    let server = Server::shared();
    let url = server.database().await;
    let connect = || async { SqlKeyStore::connect(&url).await.unwrap() };
    let stores = tokio::join!(connect(), connect(), connect());
    stores.0.insert(record("key_1")).wait().await.unwrap();
    assert!(stores.2.get(&id("key_1")).wait().await.unwrap().is_some());
    let versions = query_scalar::<_, i64>("SELECT count(*) FROM tower_warden_schema");
    assert_eq!(versions.fetch_one(&PgPool::connect(&url).await.unwrap()).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn only_one_of_two_rotations_at_once_succeeds() {
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
async fn nodes_that_write_last_uses_at_once_do_not_lock_each_other_out() {
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
async fn every_change_reaches_the_other_node() {
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
async fn a_revocation_is_heard_of_soon() {
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
        eprintln!("heard of after the {since} of `revoke`: median {:?}, longest {:?}", times[100], times[199]);
    }
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn what_is_changed_by_hand_is_heard_of() {
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
async fn a_payload_that_is_no_id_may_mean_anything() {
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
async fn a_last_use_is_not_told_of() {
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
async fn a_listener_that_was_cut_off_says_so_and_comes_back() {
    let nodes = Nodes::connect().await;
    nodes.here.insert(record("key_1")).wait().await.unwrap();
    let mut changes = watch(&nodes.there);
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = 'tower-warden listener' AND datname = current_database()";
    query(cut).execute(&nodes.pool).await.unwrap();
    expect(&mut changes, &KeyChange::Missed).await;
    expect(&mut changes, &KeyChange::Missed).await;
    nodes.here.revoke(&id("key_1"), at(9)).wait().await.unwrap();
    expect(&mut changes, &KeyChange::Changed(id("key_1"))).await;
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn a_store_outlives_its_server() {
    for end in [Server::stop, Server::kill] {
        let nodes = Nodes::on(Arc::new(Server::start())).await;
        nodes.here.insert(record("key_1")).wait().await.unwrap();
        let mut changes = watch(&nodes.there);
        end(&nodes.server);
        expect(&mut changes, &KeyChange::Missed).await;
        assert!(patiently(nodes.here.find(&record("key_1").digest).wait()).await.is_err());
        assert_eq!(kind(patiently(nodes.here.revoke(&id("key_1"), at(9)).wait()).await), KeyErrorKind::Unavailable);
        nodes.server.restart();
        expect(&mut changes, &KeyChange::Missed).await;
        assert!(patiently(nodes.here.find(&record("key_1").digest).wait()).await.unwrap().is_some());
        nodes.here.revoke(&id("key_1"), at(9)).wait().await.unwrap();
        expect(&mut changes, &KeyChange::Changed(id("key_1"))).await;
    }
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn a_server_that_answers_no_more_is_noticed() {
    let nodes = Nodes::on(Arc::new(Server::start())).await;
    nodes.here.insert(record("key_1")).wait().await.unwrap();
    let mut changes = watch(&nodes.there);
    nodes.server.pause();
    // More than the pool has connections: none of them may be lost for good.
    for _ in 0..3 {
        let look_ups = (0..20).map(|_| patiently(nodes.here.find(&record("key_1").digest).wait()));
        assert!(futures_util::future::join_all(look_ups).await.iter().all(Result::is_err));
    }
    expect(&mut changes, &KeyChange::Missed).await;
    nodes.server.resume();
    expect(&mut changes, &KeyChange::Missed).await;
    assert!(patiently(nodes.here.find(&record("key_1").digest).wait()).await.unwrap().is_some());
    nodes.here.revoke(&id("key_1"), at(9)).wait().await.unwrap();
    expect(&mut changes, &KeyChange::Changed(id("key_1"))).await;
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn a_server_that_is_not_there_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [free_port(), silent.local_addr().unwrap().port()] {
        let url = format!("postgres://postgres:s3cret@127.0.0.1:{port}/keys");
        let error = patiently(SqlKeyStore::connect(&url)).await.unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::Unavailable);
        assert!(!format!("{error:?}").contains("s3cret"));
    }
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn the_last_store_takes_its_connections_along() {
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
async fn the_application_s_own_pool_is_not_used_for_listening() {
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
async fn a_newer_schema_is_refused() {
    let nodes = Nodes::connect().await;
    query("INSERT INTO tower_warden_schema VALUES (1000)").execute(&nodes.pool).await.unwrap();
    assert_eq!(kind(SqlKeyStore::postgres(nodes.pool).await), KeyErrorKind::Configuration);
}

#[tokio::test]
#[ignore = "needs a Postgres server; ./scripts/test runs it"]
async fn a_user_without_the_right_to_make_tables_can_use_those_that_are_there() {
    let nodes = Nodes::connect().await;
    let prepare = "CREATE ROLE clerk LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
         GRANT SELECT, INSERT, UPDATE ON tower_warden_api_keys, tower_warden_schema TO clerk";
    sqlx::raw_sql(prepare).execute(&nodes.pool).await.unwrap();
    let options = (*nodes.pool.connect_options()).clone().username("clerk");
    let store = SqlKeyStore::postgres(PgPool::connect_with(options).await.unwrap()).await.unwrap();
    store.insert(record("key_1")).wait().await.unwrap();
    let again = SqlKeyStore::connect(&nodes.server.database().await).await.unwrap();
    assert!(again.get(&id("key_1")).wait().await.unwrap().is_none());
}

/// Two nodes on one database, and its operator.
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

/// Waits for a change, and returns those before it.
async fn expect(changes: &mut UnboundedReceiver<KeyChange>, change: &KeyChange) -> Vec<KeyChange> {
    let mut before = Vec::new();
    loop {
        let told = patiently(changes.recv()).await.unwrap();
        if told == *change {
            return before;
        }
        before.push(told);
    }
}

async fn connections(pool: &PgPool, name: &str) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name LIKE 'tower-warden ' || $1 || '%'";
    query_scalar(count).bind(name).fetch_one(pool).await.unwrap()
}

async fn until<F: Future<Output = bool>>(is_so: impl Fn() -> F) {
    patiently(async {
        while !is_so().await {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

async fn patiently<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it does not take for ever")
}
