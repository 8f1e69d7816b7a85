//! Rotations and revocations of keys that change in the meantime.

use std::sync::{Arc, Mutex};

use tower_warden::{
    Eventual, Unavailable, UnixTime,
    api_key::{
        ApiKeys, KeyAddition, KeyDigest, KeyError, KeyErrorKind, KeyFormat, KeyId, KeyPage, KeyQuery, KeyRecord,
        KeyStore, KeyUpdate, KeyUse, MemoryKeyStore, NewKey,
    },
};

use crate::support::{assert_kind, seconds};

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
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.inner.find(digest)
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.inner.get(id)
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        self.inner.insert(record)
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        let mut left = self.minted.lock().unwrap();
        if let Some(next) = left.checked_sub(1) {
            *left = next;
            let (id, digest) = (KeyId::parse(&format!("minted-{next}")).unwrap(), KeyDigest::sha256(&next.to_string()));
            let _ = self.inner.insert(KeyRecord::new(id, digest, "alice", at));
        }
        self.inner.revoke(id, at)
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.inner.rotate(id, successor, until)
    }

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        if let (Some((id, _)), Some(update)) = (&addition.replaces, self.updates.lock().unwrap().pop()) {
            assert!(matches!(self.inner.update(id, &update), Eventual::Now(Ok(()))));
        }
        self.inner.append(addition)
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        self.inner.list(query)
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        self.inner.touch(uses)
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
