//! The futures of public async functions are `Send`, so that they can be spawned and awaited in handlers. It is the compiler
//! that tests this: none of them is polled.

use redis::Client;
use tower_warden::{Namespace, UnixTime, api_key::MemoryKeyStore, revocation::Revocation};
use tower_warden_redis::{RedisConnection, RedisNotifiedKeyStore, RedisRateLimiter, RedisRevocationList};

use crate::async_functions::assert_all_are_in;

fn assert_send<F: Future + Send>(_: F) {}

#[expect(dead_code, reason = "it is compiled only")]
fn futures(
    client: &Client,
    namespace: &Namespace,
    connection: &RedisConnection,
    limiter: &RedisRateLimiter,
    list: &RedisRevocationList,
) {
    assert_send(RedisConnection::connect(client.clone(), namespace.clone()));
    let owned = client.clone();
    let connect = move || {
        let client = owned.clone();
        async move { client.get_multiplexed_async_connection().await }
    };
    assert_send(RedisConnection::connect_with(connect, namespace.clone()));
    assert_send(RedisNotifiedKeyStore::listen(MemoryKeyStore::default(), connection.clone(), client.clone()));
    assert_send(RedisRevocationList::listen(connection.clone(), client.clone()));
    assert_send(limiter.check());
    assert_send(list.revoke(Revocation::key("key"), UnixTime::default()));
}

#[test]
fn every_public_async_function_is_in_this_test() {
    let tested = assert_all_are_in(include_str!("futures.rs"), concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    assert!(tested > 0, "{tested}");
}
