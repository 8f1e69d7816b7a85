//! A macro for stores that change some methods of another one.

use tower_warden::{Eventual, Unavailable, api_key::KeyError};

pub(crate) type Read<T> = Eventual<Result<T, Unavailable>>;
pub(crate) type Changed<T> = Eventual<Result<T, KeyError>>;
pub(crate) type Record = std::sync::Arc<tower_warden::api_key::KeyRecord>;

/// Implements these methods of `KeyStore` by those of the field `inner`.
macro_rules! forward_to_inner {
    (@find) => {
        fn find(
            &self,
            digest: &tower_warden::api_key::KeyDigest,
        ) -> crate::forwarding::Read<Option<crate::forwarding::Record>> {
            self.inner.find(digest)
        }
    };
    (@get) => {
        fn get(&self, id: &tower_warden::api_key::KeyId) -> crate::forwarding::Read<Option<crate::forwarding::Record>> {
            self.inner.get(id)
        }
    };
    (@insert) => {
        fn insert(&self, record: tower_warden::api_key::KeyRecord) -> crate::forwarding::Changed<()> {
            self.inner.insert(record)
        }
    };
    (@revoke) => {
        fn revoke(
            &self,
            id: &tower_warden::api_key::KeyId,
            at: tower_warden::UnixTime,
        ) -> crate::forwarding::Changed<()> {
            self.inner.revoke(id, at)
        }
    };
    (@rotate) => {
        fn rotate(
            &self,
            id: &tower_warden::api_key::KeyId,
            successor: tower_warden::api_key::KeyRecord,
            until: tower_warden::UnixTime,
        ) -> crate::forwarding::Changed<()> {
            self.inner.rotate(id, successor, until)
        }
    };
    (@append) => {
        fn append(
            &self,
            addition: tower_warden::api_key::KeyAddition,
        ) -> crate::forwarding::Changed<tower_warden::api_key::KeyId> {
            self.inner.append(addition)
        }
    };
    (@update) => {
        fn update(
            &self,
            id: &tower_warden::api_key::KeyId,
            update: &tower_warden::api_key::KeyUpdate,
        ) -> crate::forwarding::Changed<()> {
            self.inner.update(id, update)
        }
    };
    (@purge) => {
        fn purge(
            &self,
            id: &tower_warden::api_key::KeyId,
            at: tower_warden::UnixTime,
        ) -> crate::forwarding::Changed<()> {
            self.inner.purge(id, at)
        }
    };
    (@list) => {
        fn list(
            &self,
            query: &tower_warden::api_key::KeyQuery,
        ) -> crate::forwarding::Read<tower_warden::api_key::KeyPage> {
            self.inner.list(query)
        }
    };
    (@touch) => {
        fn touch(&self, uses: &[tower_warden::api_key::KeyUse]) -> crate::forwarding::Read<()> {
            self.inner.touch(uses)
        }
    };
    (@watch) => {
        fn watch(&self, watcher: tower_warden::api_key::KeyWatcher) {
            self.inner.watch(watcher);
        }
    };
    ($($method:ident)+) => { $( forward_to_inner! { @$method } )+ };
}

pub(crate) use forward_to_inner;
