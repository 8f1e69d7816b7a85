//! Rules of reports to watchers.

use std::{ops::ControlFlow, time::Duration};

use futures_util::future::join;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::timeout,
};

use super::{answered, at, get, id, insert, record};
use crate::{
    Eventual,
    api_key::{KeyAddition, KeyChange, KeyError, KeyId, KeyRecord, KeyStore, KeyUpdate, KeyWatcher},
};

/// The longest time that a report may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn insertion_is_reported_as_added(store: &dyn KeyStore) {
    let mut changes = watch(store);
    for name in ["one", "two"] {
        insert(store, [record(name)]).await;
        expect(&mut changes, &KeyChange::Added, "a watcher hears that keys were added").await;
    }
}

pub(super) async fn revocation_is_reported_with_the_id(store: &dyn KeyStore) {
    insert(store, [record("one"), record("two")]).await;
    let mut changes = watch(store);
    for name in ["two", "one"] {
        answered(store.revoke(&id(name), at(20)).wait().await);
        expect(&mut changes, &KeyChange::Changed(id(name)), "a watcher hears that a key was revoked").await;
    }
}

pub(super) async fn rotation_is_reported_with_the_id(store: &dyn KeyStore) {
    insert(store, [record("one"), record("two")]).await;
    let mut changes = watch(store);
    for name in ["two", "one"] {
        answered(store.rotate(&id(name), record(&format!("{name}-successor")), at(50)).wait().await);
        expect(&mut changes, &KeyChange::Changed(id(name)), "a watcher hears that a key was replaced").await;
    }
}

pub(super) async fn appended_record_is_reported(store: &dyn KeyStore) {
    let mut changes = watch(store);
    answered(store.append(KeyAddition::new(record("one"))).wait().await);
    expect(&mut changes, &KeyChange::Added, "a watcher hears that keys were appended").await;
    answered(store.append(KeyAddition::replacing(record("two"), id("one"), at(50))).wait().await);
    let rule = "a watcher hears that a key was replaced by an appended one";
    expect(&mut changes, &KeyChange::Changed(id("one")), rule).await;
}

pub(super) async fn update_and_purge_are_reported_with_the_id(store: &dyn KeyStore) {
    let mut changes = watch(store);
    for number in 0..20 {
        let (updated, purged) = (format!("updated-{number:02}"), format!("purged-{number:02}"));
        insert(store, [record(&updated), KeyRecord { expires_at: Some(at(20)), ..record(&purged) }]).await;
        let change = store.update(&id(&updated), &KeyUpdate::default().tier("pro"));
        let read = read_when_reported(store, &mut changes, &id(&updated), change).await;
        assert_eq!(read.tier.as_deref(), Some("pro"), "{VISIBLE}: an updated key is returned as it was");
        answered(store.purge(&id(&purged), at(20)).wait().await);
        expect(&mut changes, &KeyChange::Changed(id(&purged)), "a watcher hears that a key was deleted").await;
    }
}

pub(super) async fn every_watcher_hears_of_every_change(store: &dyn KeyStore) {
    store.watch(KeyWatcher::new(|_| ControlFlow::Break(())));
    let mut watchers = [watch(store), watch(store)];
    insert(store, [record("one"), record("two")]).await;
    for name in ["one", "two"] {
        answered(store.revoke(&id(name), at(20)).wait().await);
    }
    let rule = "every watcher hears of every change, also while others stop listening";
    for changes in &mut watchers {
        for name in ["one", "two"] {
            expect(changes, &KeyChange::Changed(id(name)), rule).await;
        }
    }
}

/// A cache drops what it has when it hears of a change, and reads it again: then it must not read the old record.
pub(super) async fn change_can_be_read_when_it_is_reported(store: &dyn KeyStore) {
    let mut changes = watch(store);
    for number in 0..20 {
        // One change of each key: a change may be reported twice, and the second time late.
        let (old, bad) = (id(&format!("old-{number:02}")), id(&format!("bad-{number:02}")));
        insert(store, [record(old.as_str()), record(bad.as_str())]).await;
        let successor = record(&format!("new-{number:02}"));
        let replaced = read_when_reported(store, &mut changes, &old, store.rotate(&old, successor, at(50))).await;
        assert!(replaced.replaced.is_some(), "{VISIBLE}: a replaced key is returned as it was");
        let revoked = read_when_reported(store, &mut changes, &bad, store.revoke(&bad, at(20))).await;
        assert!(revoked.revoked_at.is_some(), "{VISIBLE}: a revoked key is returned as valid");
    }
}

const VISIBLE: &str = "a change can be read as soon as it is reported";

async fn read_when_reported(
    store: &dyn KeyStore,
    changes: &mut UnboundedReceiver<KeyChange>,
    key: &KeyId,
    change: Eventual<Result<(), KeyError>>,
) -> KeyRecord {
    let (changed, record) = join(change.wait(), async {
        expect(changes, &KeyChange::Changed(key.clone()), "a watcher hears that a key was changed").await;
        get(store, key).await
    })
    .await;
    answered(changed);
    record.unwrap_or_else(|| panic!("{VISIBLE}: the key is not found"))
}

fn watch(store: &dyn KeyStore) -> UnboundedReceiver<KeyChange> {
    let (sender, receiver) = unbounded_channel();
    store.watch(KeyWatcher::new(move |change| match sender.send(change.clone()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }));
    receiver
}

/// Waits for the report of a change; others may come before.
async fn expect(changes: &mut UnboundedReceiver<KeyChange>, expected: &KeyChange, rule: &str) {
    let heard = timeout(PATIENCE, async {
        while let Some(change) = changes.recv().await {
            if change == *expected {
                return true;
            }
        }
        false
    });
    let is_heard = heard.await.unwrap_or_default();
    assert!(is_heard, "{rule}: {expected:?} was not reported within {PATIENCE:?}");
}
