//! Changes of keys, told to every node over Redis.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::StreamExt;
use tokio::{
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    digest::KeyDigest,
    error::KeyError,
    record::{KeyId, KeyRecord},
    store::{KeyPage, KeyQuery, KeyStore, KeyUse},
    watch::{KeyChange, KeyWatcher, Watchers},
};
use crate::{Eventual, error::Unavailable, log, redis::RedisConnection, time::UnixTime};

/// The channel; its version is that of the messages.
const CHANNEL: &str = "tower-warden:keys:1";

/// What is told when changes may have been missed.
const MISSED: &str = "*";

/// How long the server may take to let a node listen, and to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// After how long without a word the connection is tried.
const SILENCE: Duration = Duration::from_secs(5);

/// How long to wait between attempts, at first and at last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How often a change is told that was not heard.
const ATTEMPTS: usize = 60;

/// A store whose changes reach every node over Redis: for stores that do not tell of them by themselves, as SQLite does
/// not, and where Postgres's `NOTIFY` does not pass.
///
/// Each node wraps the same store. What one changes through it, the others hear of and drop from their caches. A node
/// that loses its connection drops all that it has cached, and again when it is back. A change that cannot be told, because
/// Redis is down, is made all the same, and told as soon as Redis is back; until then, and for changes behind the
/// wrapper's back, the bound is the lifetime of the caches.
///
/// ```no_run
/// use tower_warden::{api_key::{ApiKeys, KeyFormat, MemoryKeyStore, RedisNotifiedKeyStore}, redis::RedisConnection};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let line = RedisConnection::connect(client.clone()).await;
/// let store = RedisNotifiedKeyStore::listen(MemoryKeyStore::default(), line, client).await;
/// let keys = ApiKeys::new(store, KeyFormat::new("sk_live")?);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct RedisNotifiedKeyStore<K> {
    store: K,
    line: RedisConnection,
    watchers: Arc<Watchers>,
    listener: AbortHandle,
}

impl<K: KeyStore> RedisNotifiedKeyStore<K> {
    /// Tells of changes on the line, and listens on a connection of the client's.
    ///
    /// Returns when it listens, and after two seconds at the latest: then it goes on trying in the background.
    pub async fn listen(store: K, line: RedisConnection, client: ::redis::Client) -> Self {
        let watchers = Arc::<Watchers>::default();
        let first = open(&client).await;
        let listener = tokio::spawn(listen(client, first, Arc::downgrade(&watchers))).abort_handle();
        Self { store, line, watchers, listener }
    }

    /// Tells every node, this one too, when the change has been made.
    fn told<T>(&self, made: Eventual<Result<T, KeyError>>, change: &KeyChange) -> Eventual<Result<T, KeyError>>
    where
        T: Send + 'static,
    {
        let (line, watchers, change) = (self.line.clone(), Arc::clone(&self.watchers), change.clone());
        Eventual::later(async move {
            // On a task of its own: whoever asked for it may leave, but what is changed must be told.
            let telling = tokio::spawn(async move {
                let made = made.wait().await?;
                watchers.notify(&change);
                let message = message(&change);
                if !publish(&line, &message).await {
                    log::warning!("Redis is down; other nodes hear of a change of keys when it is back");
                    tokio::spawn(publish_later(line, message));
                }
                Ok(made)
            });
            telling.await.unwrap_or_else(|_| Err(Unavailable::new("the key store").into()))
        })
    }
}

impl<K> Drop for RedisNotifiedKeyStore<K> {
    fn drop(&mut self) {
        self.listener.abort();
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
        self.told(self.store.insert(record), &KeyChange::Added)
    }

    fn revoke(&self, id: &KeyId, at: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.told(self.store.revoke(id, at), &KeyChange::Changed(id.clone()))
    }

    fn rotate(&self, id: &KeyId, successor: KeyRecord, until: UnixTime) -> Eventual<Result<(), KeyError>> {
        self.told(self.store.rotate(id, successor, until), &KeyChange::Changed(id.clone()))
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

async fn publish(line: &RedisConnection, message: &str) -> bool {
    let mut command = ::redis::cmd("PUBLISH");
    command.arg(CHANNEL).arg(message);
    line.run(command).await.is_ok()
}

async fn publish_later(line: RedisConnection, message: String) {
    let (mut wait, longest) = BACKOFF;
    for _ in 0..ATTEMPTS {
        sleep(wait).await;
        if publish(&line, &message).await {
            return;
        }
        wait = longest.min(wait * 2);
    }
    log::error!("a change of keys could not be told; other nodes hear of it when their caches' lifetimes end");
}

/// Tells watchers what the channel tells, as long as they live.
async fn listen(client: ::redis::Client, first: Option<::redis::aio::PubSub>, watchers: Weak<Watchers>) {
    let mut line = first;
    loop {
        if let Some(line) = line.take() {
            hear(line, &watchers).await;
        }
        let Some(told) = watchers.upgrade() else { return };
        log::warning!("changes of keys are not heard of until Redis answers again");
        told.notify(&KeyChange::Missed);
        drop(told);
        line = Some(reopen(&client).await);
        log::debug!("changes of keys are heard of again");
        // Again, because what was read since the first time may have been changed since.
        if let Some(told) = watchers.upgrade() {
            told.notify(&KeyChange::Missed);
        }
    }
}

/// Passes on what it hears, until the connection is lost.
async fn hear(line: ::redis::aio::PubSub, watchers: &Weak<Watchers>) {
    let (mut sink, mut stream) = line.split();
    loop {
        match timeout(SILENCE, stream.next()).await {
            Ok(Some(message)) => {
                let Some(watchers) = watchers.upgrade() else { return };
                watchers.notify(&change(message.get_payload_bytes()));
            }
            Ok(None) => return,
            Err(_) => {
                let answer = timeout(ANSWER, sink.ping::<::redis::Value>()).await;
                if !answer.is_ok_and(|answer| answer.is_ok()) {
                    return;
                }
            }
        }
    }
}

async fn reopen(client: &::redis::Client) -> ::redis::aio::PubSub {
    let (mut wait, longest) = BACKOFF;
    loop {
        if let Some(line) = open(client).await {
            return line;
        }
        sleep(wait).await;
        wait = longest.min(wait * 2);
    }
}

async fn open(client: &::redis::Client) -> Option<::redis::aio::PubSub> {
    let listening = async {
        let mut line = client.get_async_pubsub().await?;
        line.subscribe(CHANNEL).await?;
        Ok::<_, ::redis::RedisError>(line)
    };
    timeout(ANSWER, listening).await.ok()?.ok()
}

fn message(change: &KeyChange) -> String {
    match change {
        KeyChange::Added => String::new(),
        KeyChange::Changed(id) => id.as_str().to_owned(),
        KeyChange::Missed => MISSED.to_owned(),
    }
}

fn change(message: &[u8]) -> KeyChange {
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
    fn a_message_is_read_as_it_was_written_and_anything_else_may_be_anything() {
        let changed = KeyId::parse("key_1").map(KeyChange::Changed).ok();
        for told in [Some(KeyChange::Added), Some(KeyChange::Missed), changed].into_iter().flatten() {
            assert_eq!(change(message(&told).as_bytes()), told);
        }
        for odd in [&b"no id"[..], b"\xff", &[b'x'; 65]] {
            assert_eq!(change(odd), KeyChange::Missed);
        }
    }
}
