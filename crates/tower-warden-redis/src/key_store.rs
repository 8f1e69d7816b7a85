//! Notifications of changed keys.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::Either;
use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{sleep, timeout},
};
use tower_warden::{
    Eventual, Unavailable, UnixTime,
    api_key::{
        KeyAddition, KeyChange, KeyDigest, KeyError, KeyErrorKind, KeyId, KeyPage, KeyQuery, KeyRecord, KeyStore,
        KeyUpdate, KeyUse, KeyWatcher, KeyWatchers, UnrevokedKeys,
    },
};

use crate::{
    client::RedisClient,
    connection::{Purpose, RedisConnection},
    key_changes::{Changes, MISSED, encode},
    listener::{self, Listening},
    retry::backoff,
};

/// The channel in a namespace, with the version of its messages. The braces put it into one slot of a cluster.
const CHANNEL: &str = "tower-warden:{keys:1}";

/// The maximum time that the start of a store waits until it is subscribed.
const START_TIMEOUT: Duration = Duration::from_secs(2);

/// The time between two heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// The time without a heartbeat after which cached keys are dropped.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(3);

/// The first and the longest delay between attempts to publish.
const RETRY_DELAYS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A [`KeyStore`] whose changes are published to every node: for stores that do not report changes of other nodes, such
/// as SQLite.
///
/// Each node wraps the same store. A change that is made through the wrapper of one node invalidates the caches of all
/// nodes. A node drops all cached keys if it loses its connection to Redis, or if it has not received a heartbeat of its own
/// from the server that accepts writes for three seconds, as after a failover; and once more when it receives heartbeats
/// again.
///
/// A change that cannot be published, because Redis is unavailable, is made nevertheless. As soon as Redis is available, a
/// message makes all nodes drop their cached keys. A change whose outcome is unknown, because the store is unavailable, is
/// published as well. Until then, and for changes that bypass the wrapper, cached keys of other nodes expire after their
/// [lifetime](tower_warden::api_key::ApiKeysBuilder::positive_ttl).
///
/// # Examples
///
/// ```no_run
/// use tower_warden::api_key::{ApiKeys, KeyFormat, MemoryKeyStore};
/// use tower_warden_redis::{RedisConnection, RedisNotifiedKeyStore};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let connection = RedisConnection::connect(client.clone(), "billing".parse()?).await;
/// let store = RedisNotifiedKeyStore::listen(MemoryKeyStore::default(), connection, client).await;
/// let keys = ApiKeys::new(store, KeyFormat::new("sk_live")?);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RedisNotifiedKeyStore<K> {
    store: K,
    publisher: Publisher,
    watchers: Arc<KeyWatchers>,
    subscriber: AbortHandle,
}

#[derive(Clone, Debug)]
struct Publisher {
    connection: RedisConnection,
    channel: Arc<str>,
    /// True if a task is going to publish [`MISSED`] after a delay.
    is_scheduled: Arc<AtomicBool>,
}

impl<K: KeyStore> RedisNotifiedKeyStore<K> {
    /// Publishes changes through `connection`, and subscribes on a separate connection of `client`, both to the same
    /// servers.
    ///
    /// Returns when it is subscribed, and after two seconds otherwise: attempts continue in the background.
    pub async fn listen(store: K, connection: RedisConnection, client: impl Into<RedisClient>) -> Self {
        let channel: Arc<str> = format!("{}{CHANNEL}", connection.prefix()).into();
        let connection = connection.used_for(Purpose::KeyChanges);
        let watchers = Arc::<KeyWatchers>::default();
        let listening = Listening {
            client: client.into(),
            connection: connection.clone().used_for(Purpose::KeyMessages),
            channel: channel.to_string(),
            purpose: Purpose::KeyMessages,
            interval: HEARTBEAT_INTERVAL,
            limit: HEARTBEAT_LIMIT,
        };
        let changes = Arc::new(Changes::new(Arc::clone(&watchers)));
        let listener = Arc::clone(&changes);
        let subscriber = tokio::spawn(async move { listening.run(Arc::downgrade(&listener)).await }).abort_handle();
        let heard = async {
            while !changes.is_listening() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(START_TIMEOUT, heard).await;
        Self { store, publisher: Publisher { connection, channel, is_scheduled: Arc::default() }, watchers, subscriber }
    }

    /// Notifies the watchers of this node, and then the other nodes, after the change was made or may have been made.
    fn notify_after<T>(
        &self,
        change: KeyChange,
        make: impl FnOnce(&K) -> Eventual<Result<T, KeyError>>,
    ) -> Eventual<Result<T, KeyError>>
    where
        T: Send + 'static,
    {
        // A store that panics may have made the change before, here or in its future. It is no worse after the panic than
        // for any other caller that shares it.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| make(&self.store)));
        let outcome = outcome.unwrap_or_else(|_| Eventual::Now(Err(unavailable())));
        let (publisher, watchers) = (self.publisher.clone(), Arc::clone(&self.watchers));
        let is_made = matches!(outcome, Eventual::Now(_));
        let work = async move {
            // In another task, which may panic.
            let outcome = tokio::spawn(outcome.wait()).await.unwrap_or_else(|_| Err(unavailable()));
            // Any other error means that nothing was changed. If the store is unavailable, it may have made the change
            // and failed to report it.
            if outcome.as_ref().is_err_and(|error| error.kind() != KeyErrorKind::Unavailable) {
                return outcome;
            }
            watchers.notify(&change);
            if !publisher.publish(&encode(&change)).await {
                tracing::debug!("a change of keys is published when Redis is available");
                publisher.publish_later();
            }
            outcome
        };
        // In a separate task: a change must be published even if the caller drops this future. The task is started at
        // once if the change is made already; a store that does I/O makes it when the future is polled.
        let runtime = Handle::try_current().ok().filter(|_| is_made);
        let task = match runtime {
            Some(runtime) => Either::Left(runtime.spawn(work)),
            None => Either::Right(async { tokio::spawn(work).await }),
        };
        Eventual::later(async move { task.await.unwrap_or_else(|_| Err(unavailable())) })
    }
}

impl<K> Drop for RedisNotifiedKeyStore<K> {
    fn drop(&mut self) {
        self.subscriber.abort();
    }
}

impl<K: KeyStore> KeyStore for RedisNotifiedKeyStore<K> {
    fn find(&self, digest: &KeyDigest) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.store.find(digest)
    }

    fn get(&self, id: &KeyId) -> Eventual<Result<Option<Arc<KeyRecord>>, Unavailable>> {
        self.store.get(id)
    }

    fn insert(&self, record: KeyRecord) -> Eventual<Result<(), KeyError>> {
        self.notify_after(KeyChange::Added, |store| store.insert(record))
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.notify_after(KeyChange::Changed(id.clone()), |store| store.revoke(id, at))
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.notify_after(KeyChange::Changed(id.clone()), |store| store.rotate(id, successor, until))
    }

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        let change = match &addition.replaces {
            Some((id, _)) => KeyChange::Changed(id.clone()),
            None => KeyChange::Added,
        };
        self.notify_after(change, |store| store.append(addition))
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        self.notify_after(KeyChange::Changed(id.clone()), |store| store.update(id, update))
    }

    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.notify_after(KeyChange::Changed(id.clone()), |store| store.purge(id, at))
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        self.store.list(query)
    }

    fn list_unrevoked(&self, query: &KeyQuery) -> Eventual<Result<UnrevokedKeys, Unavailable>> {
        self.store.list_unrevoked(query)
    }

    fn touch(&self, uses: &[KeyUse]) -> Eventual<Result<(), Unavailable>> {
        self.store.touch(uses)
    }

    fn watch(&self, watcher: KeyWatcher) {
        self.store.watch(watcher.clone());
        self.watchers.add(watcher);
    }
}

impl Publisher {
    async fn publish(&self, message: &str) -> bool {
        // A replica would accept the message, but no other node would receive it.
        listener::publish(&self.connection, &self.channel, message.as_bytes()).await.is_some()
    }

    /// Reports missed changes when Redis is available: one report for all changes that could not be published.
    fn publish_later(&self) {
        if self.is_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let (this, scheduled) = (self.clone(), Scheduled(Arc::clone(&self.is_scheduled)));
        tokio::spawn(async move {
            let (first, longest) = RETRY_DELAYS;
            let mut scheduled = Some(scheduled);
            for delay in backoff(first, longest) {
                sleep(delay).await;
                // Before the attempt: it does not report a change that fails to be published after it has begun, which
                // schedules another task.
                drop(scheduled.take());
                if this.publish(MISSED).await || this.is_scheduled.swap(true, Ordering::AcqRel) {
                    return;
                }
                scheduled = Some(Scheduled(Arc::clone(&this.is_scheduled)));
            }
        });
    }
}

/// A task that is going to publish. If its runtime ends before, the next change schedules another one.
struct Scheduled(Arc<AtomicBool>);

impl Drop for Scheduled {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn unavailable() -> KeyError {
    Unavailable::new("the key store").into()
}
