//! Subscriptions that prove that they receive everything.
//!
//! A subscription at a server that is cut off, or that is no longer the master, stays open and receives nothing. A node
//! therefore publishes heartbeats to a channel of its own, through the connection that its writes take. Why a listener that
//! has received its heartbeat has received every message that was published before it:
//!
//! 1. The script of the heartbeat contains a write, so it runs on the server that accepts writes: a replica, and a master
//!    without enough replicas or in a cluster that is down, refuse it.
//! 2. The script returns the number of subscribers that this server itself has published to. If it is zero, the node is
//!    subscribed elsewhere: messages that come by replication or by the bus of a cluster can be lost.
//! 3. Messages of one server arrive on one connection in the order in which they were published. When the heartbeat
//!    arrives, all messages before it have arrived.
//!
//! A listener that does not receive its heartbeat subscribes again, at the server that is the master then.

use std::{
    iter,
    ops::ControlFlow,
    pin::pin,
    sync::{LazyLock, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future};
use redis::{RedisResult, Value};
use tokio::time::{sleep, timeout};

use self::subscription::{Messages, Subscription, subscribe};
pub(crate) use self::subscription::{READ_TIMEOUT, Source};
use crate::{
    client::RedisClient,
    connection::{Purpose, RedisConnection, RedisProblem, ScriptSource},
    retry::retry,
};

mod subscription;

/// Publishes a message at the server that accepts writes, and returns the number of its subscribers.
///
/// The write has no effect: the key does not exist. It makes servers that accept no writes refuse the script.
static PUBLISH: LazyLock<ScriptSource> =
    LazyLock::new(|| ScriptSource::new("redis.call('DEL', KEYS[1])\nreturn redis.call('PUBLISH', ARGV[1], ARGV[2])"));

/// The time limit of an attempt to subscribe.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(3);

/// The delay between attempts to subscribe.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Receives the messages of a channel.
pub(crate) trait Listener: Send + Sync + 'static {
    /// Reads what was published before the subscription, while messages are received. It is called once, and runs until
    /// the subscription is lost.
    fn read(&self, source: Source) -> impl Future<Output = ()> + Send;

    /// Waits until a heartbeat is useful before the interval is over.
    fn wants_heartbeat(&self) -> impl Future<Output = ()> + Send;

    /// Called with each message.
    fn message(&self, payload: &[u8]);

    /// All messages that were published before this time have been received.
    fn heard(&self, published_until: Instant);

    /// Messages may be missing from now on. Called only if a heartbeat was received since the subscription was made.
    fn lost(&self);
}

/// The channel to listen to, and its heartbeat.
pub(crate) struct Listening {
    pub(crate) client: RedisClient,
    /// The connection that publishes.
    pub(crate) connection: RedisConnection,
    pub(crate) channel: String,
    /// The purpose of the subscription.
    pub(crate) purpose: Purpose,
    /// The time between two heartbeats.
    pub(crate) interval: Duration,
    /// The time without a heartbeat after which the subscription is made again.
    pub(crate) limit: Duration,
}

/// Publishes through the server that accepts writes, and returns the number of its subscribers; `None` if it failed.
pub(crate) async fn publish(connection: &RedisConnection, channel: &str, message: &[u8]) -> Option<i64> {
    // In a cluster, the braces of the channel put the key into its slot.
    let key = format!("{channel}:none");
    let reply = connection.run_script(&PUBLISH, &[&key], &[channel.as_bytes(), message]).await;
    match reply {
        Ok(Value::Int(subscribers)) => Some(subscribers),
        _ => None,
    }
}

impl Listening {
    /// Listens until the listener is dropped.
    pub(crate) async fn run<L: Listener>(self, listener: Weak<L>) {
        loop {
            // Another one each time: a heartbeat of the last subscription may still be on its way.
            let heartbeats = format!("{}:{:032x}", self.channel, random());
            let subscribe_once = || async {
                if listener.strong_count() == 0 {
                    return ControlFlow::Break(None);
                }
                match self.subscribe(&heartbeats).await {
                    Ok(subscription) => ControlFlow::Break(Some(subscription)),
                    Err(problem) => {
                        self.connection.failed(self.purpose, problem);
                        ControlFlow::Continue(())
                    }
                }
            };
            let Some(Some(subscription)) = retry(iter::repeat(RETRY_DELAY), subscribe_once).await else { return };
            let session = Session::new(&self, &heartbeats, &listener);
            session.run(subscription).await;
            drop(session);
            sleep(RETRY_DELAY).await;
        }
    }

    async fn subscribe(&self, heartbeats: &str) -> Result<Subscription, RedisProblem> {
        let channels = [self.channel.as_str(), heartbeats];
        let subscribed: Option<RedisResult<_>> =
            timeout(SUBSCRIBE_TIMEOUT, subscribe(&self.client, channels)).await.ok();
        match subscribed {
            Some(Ok(subscription)) => Ok(subscription),
            Some(Err(error)) => Err(RedisProblem::of(&error)),
            None => Err(RedisProblem::Unreachable),
        }
    }
}

/// One subscription, until it is lost.
struct Session<'a, L: Listener> {
    listening: &'a Listening,
    heartbeats: &'a str,
    listener: &'a Weak<L>,
    progress: Mutex<Progress>,
}

/// The last heartbeat, and when one was received last.
struct Progress {
    number: u64,
    sent_at: Instant,
    is_replied: bool,
    is_received: bool,
    started_at: Instant,
    heard_at: Option<Instant>,
}

impl<'a, L: Listener> Session<'a, L> {
    fn new(listening: &'a Listening, heartbeats: &'a str, listener: &'a Weak<L>) -> Self {
        let now = Instant::now();
        let progress = Progress {
            number: 0,
            sent_at: now,
            is_replied: false,
            is_received: false,
            started_at: now,
            heard_at: None,
        };
        Self { listening, heartbeats, listener, progress: Mutex::new(progress) }
    }

    async fn run(&self, subscription: Subscription) {
        let Subscription { messages, source } = subscription;
        // The reader ends with the subscription, which ends with the first of both others.
        let read = async {
            if let Some(listener) = self.listener.upgrade() {
                listener.read(source).await;
            }
            future::pending::<()>().await;
        };
        let (receive, beat, read) = (pin!(self.receive(messages)), pin!(self.beat()), pin!(read));
        future::select(future::select(receive, beat), read).await;
    }

    async fn receive(&self, mut messages: Messages) {
        while let (Some((channel, payload)), Some(listener)) = (messages.next().await, self.listener.upgrade()) {
            if channel == self.listening.channel.as_bytes() {
                listener.message(&payload);
            } else if channel == self.heartbeats.as_bytes() {
                self.advance(&listener, |progress| {
                    progress.is_received |= payload == progress.number.to_string().as_bytes();
                });
            }
        }
    }

    async fn beat(&self) {
        let Listening { connection, interval, limit, .. } = self.listening;
        loop {
            let number = self.change(|progress| {
                progress.number += 1;
                (progress.sent_at, progress.is_replied, progress.is_received) = (Instant::now(), false, false);
                progress.number
            });
            let message = number.to_string();
            match timeout(*limit, publish(connection, self.heartbeats, message.as_bytes())).await {
                // Another server than that of the subscription accepts writes now.
                Ok(Some(0)) => return,
                Ok(Some(_)) => {
                    let Some(listener) = self.listener.upgrade() else { return };
                    self.advance(&listener, |progress| progress.is_replied = true);
                }
                Ok(None) | Err(_) => {}
            }
            let Some(listener) = self.listener.upgrade() else { return };
            let _ = timeout(*interval, listener.wants_heartbeat()).await;
            drop(listener);
            let silence = self.change(|progress| progress.heard_at.unwrap_or(progress.started_at).elapsed());
            if silence > *limit {
                return;
            }
        }
    }

    /// Notes a part of a heartbeat; if both parts are there, it was received.
    fn advance(&self, listener: &L, part: impl FnOnce(&mut Progress)) {
        let heard = self.change(|progress| {
            let was_heard = progress.is_replied && progress.is_received;
            part(progress);
            let is_heard = progress.is_replied && progress.is_received && !was_heard;
            is_heard.then(|| {
                progress.heard_at = Some(Instant::now());
                progress.sent_at
            })
        });
        if let Some(sent_at) = heard {
            self.listening.connection.worked(self.listening.purpose);
            listener.heard(sent_at);
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> T {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reports the loss for every end of a session, including the end of its runtime.
impl<L: Listener> Drop for Session<'_, L> {
    fn drop(&mut self) {
        let was_heard = self.change(|progress| progress.heard_at.is_some());
        if let Some(listener) = self.listener.upgrade()
            && was_heard
        {
            self.listening.connection.failed(self.listening.purpose, RedisProblem::Unreachable);
            listener.lost();
        }
    }
}

/// A number that no other node has.
fn random() -> u128 {
    use std::hash::{BuildHasher, RandomState};

    let half = |part: u8| u128::from(RandomState::new().hash_one((part, std::process::id())));
    (half(0) << 64) | half(1)
}
