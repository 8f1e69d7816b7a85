//! Notifications of changed keys.

use std::{
    ops::ControlFlow,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use redis::{Client, Value, aio::PubSub};
use tokio::{
    task::AbortHandle,
    time::{sleep, timeout},
};
use tower_warden::{
    Eventual, Unavailable, UnixTime,
    api_key::{
        KeyAddition, KeyChange, KeyDigest, KeyError, KeyErrorKind, KeyId, KeyPage, KeyQuery, KeyRecord, KeyStore,
        KeyUpdate, KeyUse, KeyWatcher, KeyWatchers, MissedChanges,
    },
};

use crate::{
    connection::RedisConnection,
    pubsub::subscribe,
    retry::{backoff, retry},
};

/// The channel in a namespace, with the version of its messages.
const CHANNEL: &str = "tower-warden:keys:1";

/// The message of [`KeyChange::Missed`].
const MISSED: &str = "*";

/// The time limit of a subscription, and of a reply to a ping.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// The time without a message after which the connection is checked.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// The first and the longest delay between attempts.
const RETRY_DELAYS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The maximum number of attempts to publish a change after the first one has failed.
const MAX_RETRIES: usize = 60;

/// A [`KeyStore`] whose changes are published to every node: for stores that do not report changes of other nodes, such
/// as SQLite, or Postgres behind a pooler that does not support `NOTIFY`.
///
/// Each node wraps the same store. A change that is made through the wrapper of one node invalidates the caches of all
/// nodes. A node that loses its connection to Redis drops all cached keys, and once more when the connection is
/// restored.
///
/// A change that cannot be published, because Redis is unavailable, is made nevertheless, and is published as soon as
/// Redis is available. A change whose outcome is unknown, because the store is unavailable, is published as well. Until
/// then, and for changes that bypass the wrapper, cached keys of other nodes expire after their
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
}

impl<K: KeyStore> RedisNotifiedKeyStore<K> {
    /// Publishes changes through `connection`, and subscribes on a separate connection of `client`.
    ///
    /// Returns when it is subscribed, and after two seconds otherwise: attempts continue in the background.
    pub async fn listen(store: K, connection: RedisConnection, client: Client) -> Self {
        let channel: Arc<str> = format!("{}{CHANNEL}", connection.prefix()).into();
        let watchers = Arc::<KeyWatchers>::default();
        let subscription = open(&client, &channel).await;
        let subscriber = follow(client, Arc::clone(&channel), subscription, Arc::downgrade(&watchers));
        let subscriber = tokio::spawn(subscriber).abort_handle();
        Self { store, publisher: Publisher { connection, channel }, watchers, subscriber }
    }

    /// Notifies the watchers of this node, and then the other nodes, after the change was made or may have been made.
    fn notify_after<T>(
        &self,
        outcome: Eventual<Result<T, KeyError>>,
        change: KeyChange,
    ) -> Eventual<Result<T, KeyError>>
    where
        T: Send + 'static,
    {
        let (publisher, watchers) = (self.publisher.clone(), Arc::clone(&self.watchers));
        Eventual::later(async move {
            // In a separate task: a change must be published even if the caller drops this future.
            let task = tokio::spawn(async move {
                // In another one: a store that panics may have made the change before.
                let outcome = tokio::spawn(outcome.wait()).await;
                let outcome = outcome.unwrap_or_else(|_| Err(Unavailable::new("the key store").into()));
                // Any other error means that nothing was changed. If the store is unavailable, it may have made the change
                // and failed to report it.
                if outcome.as_ref().is_err_and(|error| error.kind() != KeyErrorKind::Unavailable) {
                    return outcome;
                }
                watchers.notify(&change);
                let message = encode(&change);
                if !publisher.publish(&message).await {
                    tracing::warn!("Redis is unavailable; a change of keys is published when it is available");
                    tokio::spawn(publisher.publish_later(message));
                }
                outcome
            });
            task.await.unwrap_or_else(|_| Err(Unavailable::new("the key store").into()))
        })
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
        self.notify_after(self.store.insert(record), KeyChange::Added)
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.notify_after(self.store.revoke(id, at), KeyChange::Changed(id.clone()))
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.notify_after(self.store.rotate(id, successor, until), KeyChange::Changed(id.clone()))
    }

    fn append(&self, addition: KeyAddition) -> Eventual<Result<KeyId, KeyError>> {
        let change = match &addition.replaces {
            Some((id, _)) => KeyChange::Changed(id.clone()),
            None => KeyChange::Added,
        };
        self.notify_after(self.store.append(addition), change)
    }

    fn update(&self, id: &KeyId, update: &KeyUpdate) -> Eventual<Result<(), KeyError>> {
        self.notify_after(self.store.update(id, update), KeyChange::Changed(id.clone()))
    }

    fn purge(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.notify_after(self.store.purge(id, at), KeyChange::Changed(id.clone()))
    }

    fn list(&self, query: &KeyQuery) -> Eventual<Result<KeyPage, Unavailable>> {
        self.store.list(query)
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
        let mut command = redis::cmd("PUBLISH");
        command.arg(&*self.channel).arg(message);
        self.connection.run(command).await.is_ok()
    }

    async fn publish_later(self, message: String) {
        let (first, longest) = RETRY_DELAYS;
        sleep(first).await;
        let attempt =
            || async { if self.publish(&message).await { ControlFlow::Break(()) } else { ControlFlow::Continue(()) } };
        if retry(backoff(first, longest).take(MAX_RETRIES), attempt).await.is_none() {
            tracing::error!("a change of keys could not be published; it applies elsewhere when cached keys expire");
        }
    }
}

/// Notifies the watchers of published changes until they are dropped.
///
/// Invariant: a watcher that has cached a key is notified of a later change, or of `Missed`. While subscribed, changes
/// arrive as messages. After a loss, `Missed` is sent twice: at once, because changes are no longer received, and after
/// the subscription was restored, because a key that was read in between may have changed since.
async fn follow(client: Client, channel: Arc<str>, mut subscription: Option<PubSub>, watchers: Weak<KeyWatchers>) {
    let (first, longest) = RETRY_DELAYS;
    loop {
        if let Some(subscription) = subscription.take() {
            receive(subscription, &watchers).await;
        }
        let Some(current) = watchers.upgrade() else { return };
        tracing::warn!("changes of keys are not received until Redis is available");
        current.notify(&KeyChange::Missed);
        drop(current);
        let attempt = || async {
            match open(&client, &channel).await {
                Some(subscription) => ControlFlow::Break(subscription),
                None => ControlFlow::Continue(()),
            }
        };
        subscription = retry(backoff(first, longest), attempt).await;
        tracing::debug!("changes of keys are received again");
        if let Some(watchers) = watchers.upgrade() {
            watchers.notify(&KeyChange::Missed);
        }
    }
}

/// Notifies the watchers of received messages until the connection is lost.
///
/// Any client can publish on the channel: repeated reports of missed changes are merged.
async fn receive(subscription: PubSub, watchers: &Weak<KeyWatchers>) {
    let (mut sink, mut stream) = subscription.split();
    let mut missed = MissedChanges::default();
    loop {
        if missed.take_due(Instant::now()) {
            let Some(watchers) = watchers.upgrade() else { return };
            watchers.notify(&KeyChange::Missed);
        }
        let wait = missed.wait(Instant::now());
        match timeout(wait.unwrap_or(PING_INTERVAL), stream.next()).await {
            Ok(Some(message)) => match decode(message.get_payload_bytes()) {
                KeyChange::Missed if !missed.receive(Instant::now()) => {}
                change => {
                    let Some(watchers) = watchers.upgrade() else { return };
                    watchers.notify(&change);
                }
            },
            Ok(None) => return,
            Err(_) if wait.is_some() => {}
            Err(_) => {
                let reply = timeout(REPLY_TIMEOUT, sink.ping::<Value>()).await;
                if !reply.is_ok_and(|reply| reply.is_ok()) {
                    return;
                }
            }
        }
    }
}

async fn open(client: &Client, channel: &str) -> Option<PubSub> {
    timeout(REPLY_TIMEOUT, subscribe(client, channel)).await.ok()?.ok()
}

fn encode(change: &KeyChange) -> String {
    match change {
        KeyChange::Added => String::new(),
        KeyChange::Changed(id) => id.as_str().to_owned(),
        // Any other change may affect any key.
        _ => MISSED.to_owned(),
    }
}

fn decode(message: &[u8]) -> KeyChange {
    match std::str::from_utf8(message) {
        Ok("") => KeyChange::Added,
        Ok(id) => KeyId::parse(id).map_or(KeyChange::Missed, KeyChange::Changed),
        Err(_) => KeyChange::Missed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_decoded_to_its_change_and_any_other_text_to_missed_changes() {
        let changed = KeyId::parse("key_1").map(KeyChange::Changed).ok();
        for change in [Some(KeyChange::Added), Some(KeyChange::Missed), changed].into_iter().flatten() {
            assert_eq!(decode(encode(&change).as_bytes()), change);
        }
        for odd in [&b"no id"[..], b"\xff", &[b'x'; 65]] {
            assert_eq!(decode(odd), KeyChange::Missed);
        }
    }
}
