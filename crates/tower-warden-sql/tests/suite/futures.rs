//! The futures of public async functions are `Send`, so that they can be spawned and awaited in handlers. It is the compiler
//! that tests this: none of them is polled.

#[cfg(feature = "issuer")]
use {
    std::num::NonZeroU16,
    tower_warden::{UnixTime, api_key::KeyDigest},
    tower_warden_issuer::Client,
    tower_warden_sql::SqlIssuerStore,
};

use tower_warden_sql::SqlKeyStore;

use crate::async_functions::assert_all_are_in;

fn assert_send<F: Future + Send>(_: F) {}

#[cfg(feature = "sqlite")]
#[expect(dead_code, reason = "it is compiled only")]
fn futures_of_sqlite(url: String, pool: sqlx::SqlitePool) {
    assert_send(async move { SqlKeyStore::connect(&url).await });
    assert_send(SqlKeyStore::sqlite(pool));
}

#[cfg(feature = "postgres")]
#[expect(dead_code, reason = "it is compiled only")]
fn futures_of_postgres(url: String, pool: sqlx::PgPool, direct: sqlx::postgres::PgConnectOptions) {
    assert_send(SqlKeyStore::postgres(pool.clone()));
    assert_send(SqlKeyStore::postgres_through_pooler(pool, direct));
    assert_send(async move { SqlKeyStore::connect_through_pooler(&url, &url).await });
}

#[cfg(feature = "issuer")]
#[expect(dead_code, reason = "it is compiled only")]
fn futures_of_the_issuer(store: &SqlIssuerStore, client: &Client, digest: &KeyDigest, now: UnixTime) {
    let clients = store.clients();
    assert_send(clients.insert(client));
    assert_send(clients.get(""));
    assert_send(clients.list(None, NonZeroU16::MIN));
    assert_send(clients.update("", Ok));
    assert_send(clients.rotate_secret("", digest, now));
    assert_send(clients.suspend("", now));
    assert_send(clients.resume(""));
    assert_send(clients.remove(""));
    assert_send(store.refresh_tokens().remove_expired(now));
    assert_send(SqlIssuerStore::connect(""));
}

#[cfg(all(feature = "issuer", feature = "postgres"))]
#[expect(dead_code, reason = "it is compiled only")]
fn futures_of_the_issuer_on_postgres(pool: sqlx::PgPool) {
    assert_send(SqlIssuerStore::postgres(pool.clone()));
    assert_send(SqlIssuerStore::connect_through_pooler(""));
    assert_send(SqlIssuerStore::postgres_through_pooler(pool));
}

#[cfg(all(feature = "issuer", feature = "sqlite"))]
#[expect(dead_code, reason = "it is compiled only")]
fn futures_of_the_issuer_on_sqlite(pool: sqlx::SqlitePool) {
    assert_send(SqlIssuerStore::sqlite(pool));
}

#[test]
fn every_public_async_function_is_in_this_test() {
    let tested = assert_all_are_in(include_str!("futures.rs"), concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    assert!(tested > 0, "{tested}");
}
