//! The futures of public async functions are `Send`, so that they can be spawned and awaited in handlers. It is the compiler
//! that tests this: none of them is polled.

use std::{fs, path::Path};

use redis::Client;
use tower_warden::{Namespace, UnixTime, api_key::MemoryKeyStore, revocation::Revocation};
use tower_warden_redis::{RedisConnection, RedisNotifiedKeyStore, RedisRateLimiter, RedisRevocationList};

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
    let mut names = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
    assert!(!names.is_empty());
    let tested = include_str!("futures.rs");
    let missing: Vec<_> = names.iter().filter(|name| !tested.contains(&format!("{name}("))).collect();
    assert!(missing.is_empty(), "add `assert_send` for the futures of these functions: {missing:?}");
}

/// Collects the names of public async functions, except in examples of the documentation.
fn collect(folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            collect(&entry.path(), names);
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(entry.path()).unwrap();
            let functions = text.lines().filter_map(|line| line.trim_start().strip_prefix("pub async fn "));
            names.extend(functions.filter_map(|rest| rest.split(['(', '<']).next()).map(Into::into));
        }
    }
}
