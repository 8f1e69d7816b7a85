//! The futures of public async functions are `Send`, so that they can be spawned and awaited in handlers. It is the compiler
//! that tests this: none of them is polled.

use tower_warden::{
    Eventual,
    api_key::{ApiKeys, KeyId, KeyQuery, KeyStore, KeyUpdate, MemoryKeyStore, NewKey, export, import},
    audit::{EventReceiver, JsonLines},
    jwt::{Jwt, RemoteKeys, RemoteKeysBuilder},
    rate_limit::LocalRateLimiter,
    replay::MemoryReplayGuard,
    revocation::MemoryRevocationList,
    testing::{
        TestIssuer, assert_protected,
        conformance::{
            LimiterTime, ReplayCapacity, RevocationEntry, RevokedBy, key_store, key_store_changes,
            key_store_management, key_store_management_changes, rate_limiter, replay_guard, revocation_list,
        },
    },
};

use crate::support::{START, seconds};

use crate::async_functions::assert_all_are_in;

fn assert_send<F: Future + Send>(_: F) {}

#[expect(dead_code, reason = "it is compiled only")]
fn futures_of_keys(keys: &ApiKeys, id: &KeyId, query: &KeyQuery) {
    assert_send(keys.mint(NewKey::new("alice")));
    assert_send(keys.bootstrap(NewKey::new("alice")));
    assert_send(keys.rotate(id, seconds(1)));
    assert_send(keys.update(id, KeyUpdate::default()));
    assert_send(keys.revoke(id));
    assert_send(keys.revoke_all(query));
    assert_send(keys.purge(id));
    assert_send(keys.purge_inactive(query, START));
    assert_send(keys.get(id));
    assert_send(keys.list(query));
    assert_send(keys.flush());
    assert_send(async move { keys.import(&mut &b""[..]).await });
}

#[expect(dead_code, reason = "it is compiled only")]
fn futures_of_stores(store: &dyn KeyStore, value: Eventual<String>) {
    assert_send(value.wait());
    assert_send(async move { export(store, &mut Vec::new()).await });
    assert_send(async move { import(store, &mut &b""[..]).await });
}

#[expect(dead_code, reason = "it is compiled only")]
fn futures_of_issuers(builder: RemoteKeysBuilder) {
    assert_send(builder.connect());
    assert_send(async { RemoteKeys::discover("").await });
    assert_send(async { Jwt::discover("", "").await });
    assert_send(TestIssuer::listen());
}

#[expect(dead_code, reason = "it is compiled only")]
fn futures_of_audit(mut events: EventReceiver, lines: &JsonLines, app: axum::Router) {
    assert_send(async move { events.recv().await });
    assert_send(lines.flush());
    assert_send(async move { assert_protected(&app, [(http::Method::GET, "/")]).await });
}

#[expect(dead_code, reason = "it is compiled only")]
fn futures_of_conformance_suites() {
    assert_send(key_store(async || MemoryKeyStore::default()));
    assert_send(key_store_changes(async || MemoryKeyStore::default()));
    assert_send(key_store_management(async || MemoryKeyStore::default()));
    assert_send(key_store_management_changes(async || MemoryKeyStore::default()));
    // Not `Send`: it holds a closure of the test that may not be shared between threads.
    drop(rate_limiter(LimiterTime::Real, async || LocalRateLimiter::default()));
    assert_send(replay_guard(ReplayCapacity::Unbounded, async || MemoryReplayGuard::default()));
    let revoke = async |_: &MemoryRevocationList, _: RevocationEntry<'_>| {};
    assert_send(revocation_list(&RevokedBy::ALL, async || MemoryRevocationList::default(), revoke));
}

#[test]
fn every_public_async_function_is_in_this_test() {
    let tested = assert_all_are_in(include_str!("futures.rs"), concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    assert!(tested > 10, "{tested}");
}
