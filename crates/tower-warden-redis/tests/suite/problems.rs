//! Servers that can never be used, and outages: what is logged and reported.

use std::{
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use tower_warden::{
    api_key::MemoryKeyStore,
    replay::ReplayGuard,
    revocation::{Revocation, RevocationList},
};
use tower_warden_redis::{RedisConnection, RedisNotifiedKeyStore, RedisProblem, RedisReplayGuard, RedisRevocationList};
use tracing::{Event, Level, Metadata, Subscriber, field::Visit, span, subscriber::DefaultGuard};

use crate::{
    proofs::proof,
    revocations::later,
    server::Redis,
    support::{ISSUER, connection, seconds, token, until},
};

/// The log lines of this thread.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

impl Lines {
    pub(crate) fn collect() -> (Self, DefaultGuard) {
        // Callsites cache for all threads whether any is interested, so that one without a subscriber would silence them.
        static ALL: Once = Once::new();
        ALL.call_once(|| tracing::subscriber::set_global_default(Self::default()).expect("the only one"));
        let lines = Self::default();
        let guard = tracing::subscriber::set_default(lines.clone());
        (lines, guard)
    }

    /// The lines of these levels that contain a text.
    pub(crate) fn count(&self, level: Level, text: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|(of, line)| *of == level && line.contains(text)).count()
    }

    pub(crate) fn all(&self) -> String {
        format!("{:#?}", self.0.lock().unwrap())
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tower_warden")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push((*event.metadata().level(), text.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Uses all that a node has, and ignores the outcome.
async fn use_often(guard: &RedisReplayGuard, list: &RedisRevocationList) {
    for number in 0..100 {
        let _ = guard.record(&proof("key", &number.to_string(), 60)).wait().await;
        let _ = list.is_revoked(&token("1")).wait().await;
    }
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_server_that_requires_a_password_is_one_error_that_says_so_and_a_readiness_answer() {
    let (lines, _guard) = Lines::collect();
    let redis = Redis::start_with(&["--requirepass", "secret-word"]).await;
    let connection = connection(&redis, seconds(10)).await;
    assert_eq!(connection.problem(), Some(RedisProblem::NotAuthenticated));
    let list = RedisRevocationList::listen(connection.clone(), redis.client()).await;
    use_often(&RedisReplayGuard::new(connection.clone()), &list).await;
    assert!(list.is_revoked(&token("1")).wait().await.is_err(), "nothing is admitted");
    assert_eq!(connection.problem(), Some(RedisProblem::NotAuthenticated));
    let text = "the server requires authentication";
    // One of the connection, one of the subscription.
    assert_eq!(lines.count(Level::ERROR, text), 2, "{}", lines.all());
    assert_eq!(lines.count(Level::ERROR, "purpose=\"anything\""), 1, "{}", lines.all());
    assert_eq!(lines.count(Level::WARN, ""), 0, "{}", lines.all());

    let wrong = redis::Client::open(format!("redis://:wrong-word@127.0.0.1:{}/", redis.port)).unwrap();
    let wrong = RedisConnection::connect(wrong, "test".parse().unwrap()).await;
    assert_eq!(wrong.problem(), Some(RedisProblem::NotAuthenticated));
    assert!(!lines.all().contains("-word"), "{}", lines.all());
    let right = redis::Client::open(format!("redis://:secret-word@127.0.0.1:{}/", redis.port)).unwrap();
    assert_eq!(RedisConnection::connect(right, "test".parse().unwrap()).await.problem(), None);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_missing_right_is_one_error_that_names_the_rights_and_ends_when_it_is_granted() {
    let (lines, _guard) = Lines::collect();
    let redis = Redis::start().await;
    redis.command("ACL SETUSER node on >word ~* &* +@all -zcard").await.unwrap();
    let client = redis::Client::open(format!("redis://node:word@127.0.0.1:{}/", redis.port)).unwrap();
    let connection = RedisConnection::connect(client.clone(), "test".parse().unwrap()).await.timeout(seconds(10));
    let list = RedisRevocationList::listen(connection.clone(), client).await;
    let guard = RedisReplayGuard::new(connection.clone());
    use_often(&guard, &list).await;
    // Other uses of the connection are not affected.
    list.revoke(Revocation::token(ISSUER, "1"), later()).await.unwrap();
    assert!(list.is_revoked(&token("1")).wait().await.unwrap());
    assert_eq!(connection.problem(), Some(RedisProblem::NotPermitted));
    assert_eq!(lines.count(Level::ERROR, "used proofs"), 1, "{}", lines.all());
    assert_eq!(lines.count(Level::ERROR, "+zcard"), 1, "{}", lines.all());
    redis.command("ACL SETUSER node +zcard").await.unwrap();
    until(async || guard.record(&proof("key", "new", 60)).wait().await.is_ok(), "the right is granted").await;
    let is_logged = async || {
        let _ = guard.record(&proof("key", "new", 60)).wait().await;
        lines.count(Level::INFO, "used proofs") == 1
    };
    until(is_logged, "the end is logged").await;
    assert_eq!(connection.problem(), None);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_key_of_another_type_is_one_error_and_admits_nobody() {
    let (lines, _guard) = Lines::collect();
    let redis = Redis::start().await;
    redis.command("SET test:tower-warden:{revoked:1}:names text").await.unwrap();
    let connection = connection(&redis, seconds(10)).await;
    let list = RedisRevocationList::listen(connection.clone(), redis.client()).await;
    for _ in 0..20 {
        assert!(list.is_revoked(&token("1")).wait().await.is_err());
    }
    assert!(!list.is_complete());
    assert_eq!(connection.problem(), Some(RedisProblem::WrongType));
    // One of the queries, one of the reading.
    assert_eq!(lines.count(Level::ERROR, "another type"), 2, "{}", lines.all());
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn an_outage_is_one_warning_when_it_begins_and_one_line_when_it_ends() {
    let (lines, _guard) = Lines::collect();
    let redis = Redis::start().await;
    let connection = connection(&redis, Duration::from_millis(200)).await;
    let guard = RedisReplayGuard::new(connection.clone());
    let list = RedisRevocationList::listen(connection.clone(), redis.client()).await;
    let store = RedisNotifiedKeyStore::listen(MemoryKeyStore::default(), connection.clone(), redis.client()).await;
    until(async || list.is_complete(), "the copy is complete").await;
    assert_eq!((lines.count(Level::WARN, ""), lines.count(Level::ERROR, "")), (0, 0), "{}", lines.all());
    for outage in 1..=2 {
        redis.kill();
        until(async || connection.problem().is_some(), "the outage").await;
        assert_eq!(connection.problem(), Some(RedisProblem::Unreachable));
        use_often(&guard, &list).await;
        assert_eq!(lines.count(Level::WARN, "anything"), outage, "{}", lines.all());
        redis.launch().await;
        until(async || lines.count(Level::INFO, "anything") == outage, "the end").await;
        until(async || lines.count(Level::INFO, "receiving revocations") == outage, "the end").await;
        until(async || lines.count(Level::INFO, "receiving changes of keys") == outage, "the end").await;
        assert_eq!(connection.problem(), None);
    }
    assert_eq!(lines.count(Level::WARN, "receiving revocations"), 2, "{}", lines.all());
    assert_eq!(lines.count(Level::WARN, "receiving changes of keys"), 2, "{}", lines.all());
    assert_eq!((lines.count(Level::WARN, ""), lines.count(Level::ERROR, "")), (6, 0), "{}", lines.all());
    drop(store);
}

#[tokio::test]
#[ignore = "needs a Redis server; ./scripts/test runs it"]
async fn a_message_that_is_no_revocation_is_dropped_and_counted_and_the_list_is_complete_again() {
    let redis = Redis::start().await;
    let list = RedisRevocationList::listen(connection(&redis, seconds(10)).await, redis.client()).await;
    until(async || list.is_complete(), "the copy is complete").await;
    for (number, message) in (1..).zip(["?", "1-2", "\u{0}"]) {
        redis.command(&format!("PUBLISH test:tower-warden:{{revoked:1}} {message}")).await.unwrap();
        until(async || list.malformed_messages() == number, "it is counted").await;
        until(async || list.is_complete(), "the copy is complete again").await;
    }
    // Unless a heartbeat was late meanwhile.
    let costs_no_query = async || {
        let calls = redis.calls("hmget").await;
        for _ in 0..100 {
            assert!(!list.is_revoked(&token("1")).wait().await.unwrap());
        }
        redis.calls("hmget").await == calls
    };
    until(costs_no_query, "no credential costs a query").await;
    list.revoke(Revocation::token(ISSUER, "1"), later()).await.unwrap();
    assert!(list.is_revoked(&token("1")).wait().await.unwrap());
}
