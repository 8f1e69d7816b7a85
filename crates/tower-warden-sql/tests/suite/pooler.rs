//! A real PgBouncer in transaction mode between the store and Postgres.

use std::{
    fs,
    os::unix::fs::chown,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tower_warden::{
    api_key::{ApiKeys, KeyErrorKind, KeyFormat, KeyStore, KeyUpdate, NewKey},
    layer::AuthLayer,
    testing::conformance::{key_store, key_store_changes, key_store_management, key_store_management_changes},
};
use tower_warden_sql::SqlKeyStore;

use crate::{
    conformance::assert_conforms,
    server::{Server, free_port, id, is_root},
    support::{self, app, at, bearer, send},
};

/// The time limit of each step; far longer than it should take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// PgBouncer in front of a server, stopped when the value is dropped.
struct Pooler {
    _directory: TempDir,
    port: u16,
    process: Child,
}

impl Pooler {
    /// Starts with few connections to the server, so that clients share them.
    async fn start(server: &Server, mode: &str) -> Self {
        for _ in 0..5 {
            if let Some(pooler) = Self::try_start(server, mode).await {
                return pooler;
            }
        }
        panic!("PgBouncer did not start");
    }

    async fn try_start(server: &Server, mode: &str) -> Option<Self> {
        let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
        let configuration = format!(
            "[databases]\n* = user=postgres host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = 3\nmax_client_conn = 500\n\
             server_idle_timeout = 1\n\
             logfile = {}\n",
            server.port(),
            directory.path().join("log").display(),
        );
        let file = directory.path().join("pgbouncer.ini");
        fs::write(&file, configuration).unwrap();
        let mut command = if is_root() {
            for path in [directory.path(), &file] {
                chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
            }
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "pgbouncer"]);
            command
        } else {
            Command::new("pgbouncer")
        };
        let process = command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut pooler = Self { _directory: directory, port, process: process.unwrap() };
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline && pooler.process.try_wait().unwrap().is_none() {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some(pooler);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// The URL of a database through the pooler.
    fn url(&self, direct: &str) -> String {
        let (_, database) = direct.rsplit_once('/').unwrap();
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PgBouncer and a Postgres server; ./scripts/test runs it"]
async fn store_through_a_pooler_follows_the_suites() {
    let server = Server::shared();
    let pooler = Pooler::start(&server, "transaction").await;
    let make = async || {
        let direct = server.database().await;
        SqlKeyStore::connect_through_pooler(&pooler.url(&direct), &direct).await.unwrap()
    };
    assert_conforms(make).await;
    key_store(make).await;
    key_store_changes(make).await;
    key_store_management(make).await;
    key_store_management_changes(make).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PgBouncer and a Postgres server; ./scripts/test runs it"]
async fn pooler_in_transaction_mode_is_refused_with_advice_before_anything_is_created() {
    let server = Server::shared();
    let pooler = Pooler::start(&server, "transaction").await;
    let direct = server.database().await;
    let url = pooler.url(&direct);
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let pool = PgPoolOptions::new().connect_lazy_with(options.extra_float_digits(None));
    let direct_options = || direct.parse::<sqlx::postgres::PgConnectOptions>().unwrap();
    let other = server.database().await.parse().unwrap();
    let connected = [
        ("connect", SqlKeyStore::connect(&url).await),
        ("an existing pool", SqlKeyStore::postgres(pool.clone()).await),
        ("two URLs of the pooler", SqlKeyStore::connect_through_pooler(&url, &url).await),
        ("another database", SqlKeyStore::postgres_through_pooler(pool.clone(), other).await),
    ];
    for (name, connected) in connected {
        let error = connected.err().unwrap_or_else(|| panic!("{name} is refused"));
        assert_eq!(error.kind(), KeyErrorKind::Configuration, "{name}: {error:?}");
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(cause.contains("connect_through_pooler"), "{name}: {cause}");
    }
    let tables = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'tower_warden%'");
    assert_eq!(tables.fetch_one(&PgPool::connect(&direct).await.unwrap()).await.unwrap(), 0);
    SqlKeyStore::postgres_through_pooler(pool, direct_options()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PgBouncer and a Postgres server; ./scripts/test runs it"]
async fn pooler_in_session_mode_needs_no_second_url() {
    let server = Server::shared();
    let pooler = Pooler::start(&server, "session").await;
    let direct = server.database().await;
    let options: sqlx::postgres::PgConnectOptions = pooler.url(&direct).parse().unwrap();
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options.extra_float_digits(None));
    SqlKeyStore::postgres(pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PgBouncer and a Postgres server; ./scripts/test runs it"]
async fn keys_are_verified_minted_and_revoked_on_all_nodes_through_a_pooler() {
    let server = Server::shared();
    let pooler = Pooler::start(&server, "transaction").await;
    let direct = server.database().await;
    let node = async || {
        let store = SqlKeyStore::connect_through_pooler(&pooler.url(&direct), &direct).await.unwrap();
        let keys = ApiKeys::builder(store, KeyFormat::new("sk_agent").unwrap());
        let keys = keys.positive_ttl(Duration::from_secs(3_600)).timeout(TIMEOUT).build();
        (app(&AuthLayer::new(keys.clone())), keys)
    };
    let (one, other) = (Arc::new(node().await), Arc::new(node().await));
    let mints = (0..40).map(|number| {
        let one = Arc::clone(&one);
        tokio::spawn(async move { one.1.mint(NewKey::new(format!("agent-{number}"))).await.unwrap() })
    });
    let mut minted = Vec::new();
    for mint in mints.collect::<Vec<_>>() {
        minted.push(mint.await.unwrap());
    }
    let checks = minted.iter().flat_map(|(_, key)| [key; 5]).map(|key| {
        let (other, key) = (Arc::clone(&other), key.expose().to_owned());
        tokio::spawn(async move { send(other.0.clone(), bearer(&key)).await.status.as_u16() })
    });
    for check in checks.collect::<Vec<_>>() {
        assert_eq!(check.await.unwrap(), 200);
    }
    let expired = KeyUpdate::default().expires_at(at(1));
    for (number, (record, key)) in minted.iter().enumerate() {
        match number % 2 {
            0 => one.1.revoke(&record.id).await.unwrap(),
            _ => drop(one.1.update(&record.id, expired.clone()).await.unwrap()),
        }
        let start = Instant::now();
        while send(other.0.clone(), bearer(key.expose())).await.status != 401 {
            assert!(start.elapsed() < TIMEOUT, "the change is not received by the other node");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[cfg(feature = "issuer")]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PgBouncer and a Postgres server; ./scripts/test runs it"]
async fn pooler_in_transaction_mode_is_refused_by_the_store_of_an_issuer_with_advice() {
    use tower_warden_sql::{IssuerStoreErrorKind, SqlIssuerStore};

    let server = Server::shared();
    let [pooler, of_sessions] = [Pooler::start(&server, "transaction").await, Pooler::start(&server, "session").await];
    let direct = server.database().await;
    let pool = |url: &str| {
        let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
        PgPoolOptions::new().connect_lazy_with(options.extra_float_digits(None))
    };
    let shared = pool(&pooler.url(&direct));
    let connected = [
        ("connect", SqlIssuerStore::connect(&pooler.url(&direct)).await),
        ("an existing pool", SqlIssuerStore::postgres(shared.clone()).await),
    ];
    for (name, connected) in connected {
        let error = connected.err().unwrap_or_else(|| panic!("{name} is refused"));
        assert_eq!(error.kind(), IssuerStoreErrorKind::Configuration, "{name}: {error:?}");
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(cause.contains("SqlIssuerStore::connect_through_pooler"), "{name}: {cause}");
    }
    SqlIssuerStore::postgres_through_pooler(shared).await.unwrap();
    SqlIssuerStore::postgres(pool(&of_sessions.url(&direct))).await.unwrap();
    SqlIssuerStore::postgres(pool(&direct)).await.unwrap();
}

#[cfg(feature = "issuer")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs PgBouncer and a Postgres server; ./scripts/test runs it"]
async fn of_30_concurrent_uses_of_a_refresh_token_one_succeeds_through_a_pooler() {
    let server = Server::shared();
    let pooler = Pooler::start(&server, "transaction").await;
    let url = pooler.url(&server.database().await);
    let store = async || tower_warden_sql::SqlIssuerStore::connect_through_pooler(&url).await.unwrap();
    // The pooler has three connections, and a read waits for two seconds at most.
    crate::issuer::assert_one_concurrent_use_succeeds([store().await, store().await], 30).await;
}

/// A pooler that begins to share connections later, for example after its configuration was changed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PgBouncer and a Postgres server; ./scripts/test runs it"]
async fn lost_prepared_statement_is_explained() {
    let server = Server::shared();
    let direct = server.database().await;
    let pool = PgPoolOptions::new().max_connections(1).connect(&direct).await.unwrap();
    let store = SqlKeyStore::postgres(pool.clone()).await.unwrap();
    store.insert(support::record("key_1")).wait().await.unwrap();
    let key = support::id("key_1");
    store.get(&key).wait().await.unwrap();
    sqlx::raw_sql("DEALLOCATE ALL").execute(&pool).await.unwrap();
    let error = store.get(&key).wait().await.unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("connect_through_pooler"), "{cause}");
}
