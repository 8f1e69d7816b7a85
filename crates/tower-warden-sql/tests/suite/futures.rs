//! The futures of public async functions are `Send`, so that they can be spawned and awaited in handlers. It is the compiler
//! that tests this: none of them is polled.

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

#[test]
fn every_public_async_function_is_in_this_test() {
    let tested = assert_all_are_in(include_str!("futures.rs"), concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    assert!(tested > 0, "{tested}");
}
