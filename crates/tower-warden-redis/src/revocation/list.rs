//! Revocations of many nodes.

use std::{
    fmt,
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::redis::{
    Client, Value,
    aio::{PubSubSink, PubSubStream},
};
use futures_util::{StreamExt, future};
use tokio::{
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    error::{RevocationError, RevocationErrorKind},
    list::RevocationList,
    memory::{GRACE, LONGEST, MemoryRevocationList},
    name::{Name, Revocation},
};
use crate::{
    Eventual,
    caller::Identity,
    error::Unavailable,
    log,
    redis::RedisConnection,
    time::{Clock, SystemClock, UnixTime},
};

/// Where revocations are kept; what stands in braces decides the slot of a cluster.
const NAMES: &str = "tower-warden:{revoked:1}:names";
const ENDS: &str = "tower-warden:{revoked:1}:ends";
const CHANNEL: &str = "tower-warden:revoked:1";

const SCRIPT: &str = include_str!("revoke.lua");

/// How often it is made sure that nothing is missed, and how long an answer may take: together less than 100 ms.
const BEAT: Duration = Duration::from_millis(30);
const ANSWER: Duration = Duration::from_millis(50);

/// How long a server may be silent, or take to let a node listen, before another connection is tried.
const SILENCE: Duration = Duration::from_secs(2);

/// How long to wait between attempts.
const BACKOFF: Duration = Duration::from_millis(100);

/// A list in Redis or Valkey, which every node knows; clones are the same.
///
/// Each node holds all of it, so to ask it costs no round trip. A revocation reaches every node by pub/sub. A node that
/// does not hear from Redis for 80 milliseconds knows that it may miss something: until it hears again, it asks Redis for each
/// credential, and refuses with 503 if that does not answer. What a node knows to be revoked is refused at once, whatever
/// state it is in.
///
/// # Deployment caveat
///
/// What Redis forgets, because it keeps nothing on its disk or evicts keys, a node that starts later does not know: let it
/// persist (`appendonly yes`) and evict nothing.
///
/// ```no_run
/// use std::time::Duration;
/// use tower_warden::{Clock, SystemClock, redis::RedisConnection, revocation::{RedisRevocationList, Revocation}};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let list = RedisRevocationList::listen(RedisConnection::connect(client.clone()).await, client).await;
/// let until = SystemClock::default().now() + Duration::from_secs(3600);
/// list.revoke(Revocation::token("https://auth.example.com", "4711"), until).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisRevocationList(Arc<Inner>);

struct Inner {
    line: RedisConnection,
    known: Arc<Known>,
    listener: AbortHandle,
}

/// What this node knows.
#[derive(Default)]
struct Known {
    list: MemoryRevocationList,
    /// Whether that is all there is.
    is_complete: AtomicBool,
    /// There was no room for some of it.
    is_cut: AtomicBool,
}

impl RedisRevocationList {
    /// Revokes and asks on the line, and listens on a connection of the client's.
    ///
    /// Returns when this node knows all of it, and after two seconds at the latest: then it goes on trying.
    pub async fn listen(line: RedisConnection, client: Client) -> Self {
        let known = Arc::<Known>::default();
        let listener = tokio::spawn(follow(client, Arc::downgrade(&known))).abort_handle();
        let complete = async {
            while !known.is_complete.load(Ordering::Acquire) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(SILENCE, complete).await;
        Self(Arc::new(Inner { line, known, listener }))
    }

    /// Revokes on every node, on this one before it returns; `until` is when the last of the credentials it names has
    /// ended, as in [`MemoryRevocationList::revoke`].
    ///
    /// # Errors
    ///
    /// If it has a name that is too long, has ended already, or Redis did not answer: then it may have been taken on all
    /// the same.
    pub async fn revoke(&self, revocation: Revocation, until: UnixTime) -> Result<(), RevocationError> {
        if revocation.name.len() > LONGEST {
            return Err(RevocationError::new(RevocationErrorKind::TooLong));
        }
        if until + GRACE <= SystemClock::default().now() {
            return Err(RevocationError::new(RevocationErrorKind::Ended));
        }
        let mut command = ::redis::cmd("EVAL");
        command.arg(SCRIPT).arg(2).arg(NAMES).arg(ENDS).arg(revocation.name.to_bytes());
        command.arg(revocation.issued_until.as_secs()).arg(until.as_secs()).arg(GRACE.as_secs()).arg(CHANNEL);
        let answer = self.0.line.run(command).await;
        self.0.known.take_on(revocation, until);
        answer.map(drop).map_err(|_| RevocationError::new(RevocationErrorKind::Unavailable))
    }

    /// Whether this node knows all of the list, and asks nobody.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.known.is_complete.load(Ordering::Acquire)
    }
}

impl RevocationList for RedisRevocationList {
    fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
        match self.0.known.list.is_revoked(identity) {
            Eventual::Now(Ok(false)) if !self.is_complete() => {}
            known => return known,
        }
        let names: Vec<_> = Name::all_of(identity).map(|name| name.to_bytes()).collect();
        if names.is_empty() {
            return Eventual::Now(Ok(false));
        }
        let (line, issued_at) = (self.0.line.clone(), identity.issued_at);
        Eventual::later(async move {
            let mut command = ::redis::cmd("HMGET");
            command.arg(NAMES).arg(names);
            let answer = line.run(command).await.map_err(|_| Unavailable::new("the revocation list"))?;
            let now = SystemClock::default().now();
            let is_standing = |entry: &Value| match entry {
                Value::Nil => Some(false),
                Value::BulkString(text) => {
                    let (issued_until, end) = read(text)?;
                    Some(now < end + GRACE && issued_at.is_none_or(|at| at <= issued_until))
                }
                _ => None,
            };
            let Value::Array(entries) = &answer else { return Err(Unavailable::new("the revocation list")) };
            let standing = entries.iter().map(is_standing).collect::<Option<Vec<_>>>();
            // What cannot be read is no reason to let anybody in.
            standing.map(|standing| standing.contains(&true)).ok_or_else(|| Unavailable::new("the revocation list"))
        })
    }
}

impl fmt::Debug for RedisRevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRevocationList").field("is_complete", &self.is_complete()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Known {
    fn take_on(&self, revocation: Revocation, until: UnixTime) {
        let taken = self.list.revoke(revocation, until);
        if taken.is_err_and(|error| error.kind() != RevocationErrorKind::Ended) {
            log::warning!("there are more revocations than this node has room for; Redis is asked for each credential");
            self.is_cut.store(true, Ordering::Release);
            self.is_complete.store(false, Ordering::Release);
        }
    }

    /// Takes on what Redis tells; whatever cannot be read may be anything.
    fn hear(&self, times: &[u8], name: &[u8]) {
        match (read(times), Name::from_bytes(name)) {
            (Some((issued_until, until)), Some(name)) => self.take_on(Revocation { name, issued_until }, until),
            _ => {
                self.is_cut.store(true, Ordering::Release);
                self.is_complete.store(false, Ordering::Release);
            }
        }
    }

    fn set_complete(&self) {
        let is_complete = !self.is_cut.load(Ordering::Acquire);
        self.is_complete.store(is_complete, Ordering::Release);
    }
}

/// Knows nothing for sure when it is dropped: also when its runtime ends.
struct Attention(Weak<Known>);

impl Drop for Attention {
    fn drop(&mut self) {
        if let Some(known) = self.0.upgrade() {
            known.is_complete.store(false, Ordering::Release);
        }
    }
}

/// Keeps what a node knows up to date, as long as it is needed.
async fn follow(client: Client, known: Weak<Known>) {
    let _attention = Attention(known.clone());
    loop {
        let opening = async {
            let mut line = client.get_async_pubsub().await.ok()?;
            line.subscribe(CHANNEL).await.ok()?;
            // Only now: what is revoked from here on is heard of.
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            let all = ::redis::cmd("HGETALL").arg(NAMES).query_async::<Vec<Vec<u8>>>(&mut connection).await.ok()?;
            Some((line.split(), all))
        };
        let opened = timeout(SILENCE, opening).await.ok().flatten();
        let Some(now_known) = known.upgrade() else { return };
        if let Some(((sink, stream), all)) = opened {
            for pair in all.chunks_exact(2) {
                now_known.hear(&pair[1], &pair[0]);
            }
            now_known.set_complete();
            drop(now_known);
            let (heard, beaten) = (pin!(hear(stream, &known)), pin!(beat(sink, &known)));
            future::select(heard, beaten).await;
            drop(Attention(known.clone()));
            log::warning!("revocations are not heard of; Redis is asked for each credential until they are");
        }
        sleep(BACKOFF).await;
    }
}

/// Takes on what is told, until the connection is lost.
async fn hear(mut stream: PubSubStream, known: &Weak<Known>) {
    while let (Some(message), Some(known)) = (stream.next().await, known.upgrade()) {
        let text = message.get_payload_bytes();
        // Two numbers and the name, each behind a space.
        let name = text.iter().enumerate().filter(|(_, byte)| **byte == b' ').nth(1).map_or(text.len(), |(at, _)| at);
        known.hear(&text[..name], text.get(name + 1..).unwrap_or_default());
    }
}

/// Makes sure that the connection is there, until it is not.
async fn beat(mut sink: PubSubSink, known: &Weak<Known>) {
    loop {
        sleep(BEAT).await;
        let mut answer = pin!(sink.ping::<Value>());
        let in_time = timeout(ANSWER, answer.as_mut()).await;
        let answered = match in_time {
            Ok(answer) => answer.is_ok(),
            Err(_) => {
                drop(Attention(known.clone()));
                timeout(SILENCE, answer).await.is_ok_and(|answer| answer.is_ok())
            }
        };
        match known.upgrade() {
            // What was told before the answer has come before it, on the same connection.
            Some(known) if answered => known.set_complete(),
            _ => return,
        }
    }
}

/// Until when it names what was issued, and when that has ended.
fn read(text: &[u8]) -> Option<(UnixTime, UnixTime)> {
    let (issued_until, end) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    let time = |text: &str| text.parse().ok().map(UnixTime::from_secs);
    Some((time(issued_until)?, time(end)?))
}
