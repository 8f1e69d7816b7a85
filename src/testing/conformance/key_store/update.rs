//! Rules of updates.

use std::sync::Arc;

use super::{answered, assert_refused, at, at_once, find, get, id, insert, record, records::full};
use crate::{
    api_key::{KeyErrorKind, KeyRecord, KeyStore, KeyUpdate, KeyUse},
    scope::Scopes,
};

pub(super) async fn update_changes_the_named_fields_only(store: &dyn KeyStore) {
    let rule = "an update changes the fields that it names, and nothing else";
    let networks = || ["192.0.2.0/24".parse().expect("a network")];
    let updates = [
        KeyUpdate::default(),
        KeyUpdate::default().name("caf\u{e9} 'x'"),
        KeyUpdate::default().name(""),
        KeyUpdate::default().scopes("a b"),
        KeyUpdate::default().scopes(Scopes::default()),
        KeyUpdate::default().tier("free"),
        KeyUpdate::default().tier(""),
        KeyUpdate::default().without_tier(),
        KeyUpdate::default().networks(networks()),
        KeyUpdate::default().networks([]),
        KeyUpdate::default().expires_at(at(77)),
        KeyUpdate::default().without_expiry(),
        KeyUpdate::default().metadata([("a".into(), "\u{1f511}".into())].into()),
        KeyUpdate::default().metadata([].into()),
        KeyUpdate::default().name("n").scopes("s").tier("t").networks(networks()).expires_at(at(9)),
    ];
    let other = record("other");
    insert(store, [other.clone()]).await;
    for (number, update) in updates.into_iter().enumerate() {
        // Also keys that are expired and replaced.
        for (name, key) in [("full", KeyRecord { revoked_at: None, ..full("full") }), ("plain", record("plain"))] {
            let name = format!("{name}-{number}");
            let mut key = KeyRecord { id: id(&name), digest: record(&name).digest, ..key };
            insert(store, [key.clone()]).await;
            let updated = store.update(&key.id, &update).wait().await;
            assert!(updated.is_ok(), "a key that is not revoked can be updated: {updated:?}");
            answered(update.apply_to(&mut key));
            assert_eq!(get(store, &key.id).await.as_ref(), Some(&key), "{rule}: {update:?}");
            assert_eq!(find(store, &key.digest).await.as_ref(), Some(&key), "{rule}: {update:?}");
        }
    }
    assert_eq!(get(store, &other.id).await, Some(other), "an update changes no other key");
}

pub(super) async fn update_of_an_unknown_or_revoked_key_is_refused(store: &dyn KeyStore) {
    let (key, update) = (KeyRecord { revoked_at: Some(at(20)), ..record("key") }, KeyUpdate::default().name("new"));
    insert(store, [key.clone()]).await;
    let rule = "an update of an unknown key is not found, and adds nothing";
    assert_refused(&store.update(&id("KEY"), &update).wait().await, KeyErrorKind::NotFound, rule);
    assert_eq!(get(store, &id("KEY")).await, None, "{rule}");
    let rule = "an update with malformed scopes is refused as invalid, and changes nothing";
    let active = record("active");
    insert(store, [active.clone()]).await;
    let malformed = KeyUpdate::default().name("new").scopes("a \"b\"");
    assert_refused(&store.update(&active.id, &malformed).wait().await, KeyErrorKind::Invalid, rule);
    assert_eq!(get(store, &active.id).await, Some(active), "{rule}");
    let rule = "an update of a revoked key is refused as inactive, and changes nothing";
    assert_refused(&store.update(&key.id, &update).wait().await, KeyErrorKind::Inactive, rule);
    assert_eq!(get(store, &key.id).await, Some(key), "{rule}");
}

pub(super) async fn update_that_was_checked_before_another_one_is_a_conflict(store: &dyn KeyStore) {
    let rule = "an update that was checked before another one is a conflict, and changes nothing";
    let networks = || ["192.0.2.0/24".parse().expect("a network")];
    let others = [
        KeyUpdate::default().scopes("a"),
        KeyUpdate::default().tier("free"),
        KeyUpdate::default().networks(networks()),
        KeyUpdate::default().expires_at(at(77)),
        KeyUpdate::default().name("new"),
        KeyUpdate::default().metadata([("a".into(), "b".into())].into()),
    ];
    let change = || KeyUpdate::default().name("changed").expires_at(at(99));
    for (number, other) in others.iter().enumerate() {
        let key = id(&format!("key-{number}"));
        insert(store, [record(key.as_str())]).await;
        let read = async || Arc::new(get(store, &key).await.expect("the key exists"));
        let stale = change().checked(read().await);
        answered(store.update(&key, other).wait().await);
        let updated = read().await;
        assert_refused(&store.update(&key, &stale).wait().await, KeyErrorKind::Conflict, rule);
        assert_eq!(get(store, &key).await.as_ref(), Some(&*updated), "{rule}");

        // The last use is no right, and is written at any time.
        answered(store.touch(&[KeyUse::new(key.clone(), at(40))]).wait().await);
        let made = store.update(&key, &change().checked(updated)).wait().await;
        assert!(made.is_ok(), "an update of a key that was not updated since its check is made: {made:?}");
    }
    let checked = |name: &str| change().checked(Arc::new(record(name)));
    let refused = store.update(&id("unknown"), &checked("unknown")).wait().await;
    assert_refused(&refused, KeyErrorKind::NotFound, "a checked update of an unknown key is not found");
}

pub(super) async fn one_of_concurrent_checked_updates_succeeds(store: &Arc<dyn KeyStore>) {
    let rule = "of 20 concurrent updates that were checked on one record, exactly one succeeds";
    insert(store, [record("key")]).await;
    let updates = (0..20).map(|number| {
        let (store, read) = (Arc::clone(store), Arc::new(record("key")));
        let update = KeyUpdate::default().name(format!("{number}")).checked(read);
        async move { store.update(&id("key"), &update).wait().await }
    });
    let (succeeded, refused): (Vec<_>, Vec<_>) = at_once(updates).await.into_iter().partition(Result::is_ok);
    assert!(succeeded.len() == 1, "{rule}: {} did", succeeded.len());
    for updated in refused {
        assert_refused(&updated, KeyErrorKind::Conflict, rule);
    }
}

pub(super) async fn concurrent_updates_of_a_key_are_all_kept(store: &Arc<dyn KeyStore>) {
    let names: Vec<_> = (0..25).map(|number| format!("key-{number:02}")).collect();
    insert(store, names.iter().map(|name| record(name))).await;
    let changes = names.iter().flat_map(|name| (0..4).map(move |change| (id(name), change))).collect::<Vec<_>>();
    let changes = changes.into_iter().map(|(key, change)| {
        let store = Arc::clone(store);
        async move {
            let update = match change {
                0 => KeyUpdate::default().name("new"),
                1 => KeyUpdate::default().tier("pro"),
                2 => KeyUpdate::default().scopes("a"),
                _ => return answered(store.touch(&[KeyUse::new(key, at(40))]).wait().await),
            };
            answered(store.update(&key, &update).wait().await);
        }
    });
    at_once(changes).await;
    for name in names {
        let mut expected = record(&name);
        answered(KeyUpdate::default().name("new").tier("pro").scopes("a").apply_to(&mut expected));
        expected.last_used_at = Some(at(40));
        assert_eq!(get(store, &expected.id).await, Some(expected), "concurrent updates of a key are all kept");
    }
}
