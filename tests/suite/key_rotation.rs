//! Rotations and revocations of keys that change in the meantime.

use std::{
    num::NonZeroU16,
    sync::{Arc, Mutex},
};

use tower_warden::{
    Environment, Eventual, ManualClock, Unavailable, UnixTime,
    api_key::{
        ApiKeys, KeyAddition, KeyDigest, KeyError, KeyErrorKind, KeyFormat, KeyId, KeyPage, KeyQuery, KeyRecord,
        KeyStore, KeyUpdate, MemoryKeyStore, NewKey,
    },
};

use crate::{
    forwarding::forward_to_inner,
    support::{START, assert_kind, seconds},
};

/// A store on which somebody else makes a change between any two calls.
#[derive(Default)]
struct Busy {
    inner: MemoryKeyStore,
    /// Updates of a key that is about to be replaced.
    updates: Mutex<Vec<KeyUpdate>>,
    /// The number of keys that are minted, each after one was revoked.
    minted: Mutex<u32>,
}

impl KeyStore for Busy {
    forward_to_inner!(find get insert rotate list touch);

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let mut left = self.minted.lock().unwrap();
        if let Some(next) = left.checked_sub(1) {
            *left = next;
            let (id, digest) = (KeyId::parse(&format!("minted-{next}")).unwrap(), KeyDigest::sha256(&next.to_string()));
            let _ = self.inner.insert(KeyRecord::new(id, digest, "alice", at));
        }
        self.inner.revoke(id, at)
    }

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        if let (Some((id, _)), Some(update)) = (&addition.replaces, self.updates.lock().unwrap().pop()) {
            assert!(matches!(self.inner.update(id, &update), Eventual::Now(Ok(()))));
        }
        self.inner.append(addition)
    }
}

fn keys() -> (Arc<Busy>, ApiKeys) {
    let store = Arc::<Busy>::default();
    (Arc::clone(&store), ApiKeys::new(store, KeyFormat::new("sk_test").unwrap()))
}

#[tokio::test]
async fn a_right_that_is_removed_during_a_rotation_is_not_in_the_new_key() {
    let (store, keys) = keys();
    let (old, _) = keys.mint(NewKey::new("alice").scopes("a b")).await.unwrap();
    store.updates.lock().unwrap().extend([KeyUpdate::default().scopes("a"), KeyUpdate::default().tier("free")]);
    let (new, _) = keys.rotate(&old.id, seconds(60)).await.unwrap();
    assert_eq!((new.scopes.to_string().as_str(), new.tier.as_deref()), ("a", Some("free")));
    let replaced = keys.get(&old.id).await.unwrap().unwrap().replaced.clone();
    assert_eq!(replaced.map(|replaced| replaced.by), Some(new.id));
}

#[tokio::test]
async fn a_rotation_of_a_key_that_changes_all_the_time_is_a_conflict_and_changes_nothing() {
    let (store, keys) = keys();
    let (old, _) = keys.mint(NewKey::new("alice")).await.unwrap();
    let names = (0..100).map(|number| KeyUpdate::default().name(format!("{number}")));
    store.updates.lock().unwrap().extend(names);
    assert_kind(keys.rotate(&old.id, seconds(60)).await, KeyErrorKind::Conflict);
    assert!(keys.get(&old.id).await.unwrap().unwrap().replaced.is_none());
    assert_eq!(keys.list(&KeyQuery::default()).await.unwrap().keys.len(), 1);
}

#[tokio::test]
async fn a_revocation_of_all_keys_ends_although_keys_are_minted_all_the_time() {
    let (store, keys) = keys();
    keys.mint(NewKey::new("alice")).await.unwrap();
    let alice = KeyQuery::default().owner("alice");
    *store.minted.lock().unwrap() = 5;
    assert_eq!(keys.revoke_all(&alice).await.unwrap(), 6);
    keys.mint(NewKey::new("alice")).await.unwrap();
    *store.minted.lock().unwrap() = 1_000;
    assert_kind(keys.revoke_all(&alice).await, KeyErrorKind::Conflict);
}

/// A store with short pages, on which a further key is minted with each revocation, at the end of the list.
struct Refilled {
    inner: MemoryKeyStore,
    clock: ManualClock,
    minted: Mutex<u32>,
}

impl KeyStore for Refilled {
    forward_to_inner!(find get insert rotate append touch);

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let mut minted = self.minted.lock().unwrap();
        // Each takes a second. It ends, so that a test of a revocation that does not end fails.
        if *minted < 500 {
            *minted += 1;
            self.clock.advance(seconds(1));
            let (id, digest) = (format!("minted-{:04}", *minted), KeyDigest::sha256(&minted.to_string()));
            let _ = self.inner.insert(KeyRecord::new(KeyId::parse(&id).unwrap(), digest, "alice", at + seconds(1)));
        }
        self.inner.revoke(id, at)
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        self.inner.list(&query.clone().limit(NonZeroU16::MIN))
    }
}

#[tokio::test]
async fn a_revocation_of_all_keys_ends_although_its_list_never_does() {
    let clock = ManualClock::at(START);
    let store = Arc::new(Refilled { inner: MemoryKeyStore::default(), clock: clock.clone(), minted: Mutex::default() });
    let environment = Environment::default().with_clock(clock);
    let keys = ApiKeys::builder(Arc::clone(&store), KeyFormat::new("sk_test").unwrap());
    let keys = keys.environment(&environment).build();
    let alice = KeyQuery::default().owner("alice");
    keys.mint(NewKey::new("alice")).await.unwrap();
    assert_kind(keys.revoke_all(&alice).await, KeyErrorKind::Conflict);
    assert!(*store.minted.lock().unwrap() < 500);
    *store.minted.lock().unwrap() = 500;
    let left = keys.revoke_all(&alice).await.unwrap();
    assert!(left > 0);
    assert_eq!(keys.revoke_all(&alice).await.unwrap(), 0, "all keys of short pages are revoked");
}

/// A store that does not implement `append`, on which an update is made between two reads of a key.
struct Plain {
    inner: Arc<MemoryKeyStore>,
    is_slow: bool,
    updates: Mutex<Vec<KeyUpdate>>,
}

impl Plain {
    fn answer<T: Send + 'static>(
        &self,
        answer: impl FnOnce(&MemoryKeyStore) -> Eventual<T> + Send + 'static,
    ) -> Eventual<T> {
        let inner = Arc::clone(&self.inner);
        if self.is_slow { Eventual::later(async move { answer(&inner).wait().await }) } else { answer(&inner) }
    }
}

impl KeyStore for Plain {
    forward_to_inner!(find revoke list touch);

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        let (id, update) = (id.clone(), self.updates.lock().unwrap().pop());
        self.answer(move |store| {
            let read = store.get(&id);
            let updated = update.map(|update| store.update(&id, &update));
            assert!(matches!(updated, None | Some(Eventual::Now(Ok(())))));
            read
        })
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        self.answer(move |store| store.insert(record))
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        let id = id.clone();
        self.answer(move |store| store.rotate(&id, successor, until))
    }
}

#[tokio::test]
async fn a_store_without_an_append_of_its_own_compares_the_replaced_key_as_well() {
    for is_slow in [false, true] {
        let store = Arc::new(Plain { inner: Arc::default(), is_slow, updates: Mutex::default() });
        let keys = ApiKeys::new(Arc::clone(&store), KeyFormat::new("sk_test").unwrap());
        let (old, _) = keys.mint(NewKey::new("alice").scopes("a b")).await.unwrap();
        store.updates.lock().unwrap().push(KeyUpdate::default().scopes("a"));
        let (new, _) = keys.rotate(&old.id, seconds(60)).await.unwrap();
        assert_eq!(new.scopes.to_string(), "a", "{is_slow}");
        assert_eq!(keys.list(&KeyQuery::default()).await.unwrap().keys.len(), 2);
        assert_kind(keys.rotate(&old.id, seconds(60)).await, KeyErrorKind::Inactive);
        let unknown = KeyId::parse("unknown").unwrap();
        let replacing = KeyAddition::replacing(KeyRecord::clone(&old), unknown, START).copied_from(Arc::new(old));
        assert_kind(store.append(replacing).wait().await, KeyErrorKind::NotFound);
    }
}
