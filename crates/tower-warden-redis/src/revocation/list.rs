//! A revocation list on Redis.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::Value;
use tokio::{
    task::AbortHandle,
    time::{sleep, timeout},
};
use tower_warden::{
    Eventual, Unavailable, UnixTime,
    caller::Identity,
    revocation::{Revocation, RevocationError, RevocationErrorKind, RevocationList, RevocationName},
};

use super::{
    replica::{Replica, parse_times},
    subscriber::Subscriber,
};
use crate::{
    client::RedisClient,
    connection::{Purpose, RedisConnection, ScriptSource},
    listener::Listening,
};

static REVOKE: LazyLock<ScriptSource> = LazyLock::new(|| ScriptSource::new(include_str!("revoke.lua")));

static QUERY: LazyLock<ScriptSource> = LazyLock::new(|| ScriptSource::new(include_str!("query.lua")));

/// The time between two heartbeats.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(50);

/// The time without a heartbeat after which the subscription is made again.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(2);

/// The maximum time that the start of a list waits until it is complete.
const START_TIMEOUT: Duration = Duration::from_secs(2);

/// A [`RevocationList`] on Redis or Valkey that every node replicates; clones share everything.
///
/// Each node holds the whole list, so a query needs no round trip. Revocations reach the nodes by publish/subscribe. Every 50
/// milliseconds, a node publishes a heartbeat at the server that accepts writes, and has to receive it by its own
/// subscription. Without a heartbeat for 150 milliseconds, its copy may be incomplete: until one arrives, the
/// node queries the server that accepts writes for each credential, and refuses requests with 503 if the query fails. A
/// revocation that a node has received always applies.
///
/// A message that is not a revocation is dropped and [counted](Self::malformed_messages), and the list is read again.
///
/// The list holds up to 100 000 revocations on a node. If there are more, nodes query Redis for each credential.
///
/// # Deployment caveat
///
/// Revocations that Redis loses, because it does not persist them or evicts keys, are unknown to nodes that start later:
/// set `appendonly yes` and `maxmemory-policy noeviction`.
///
/// A master that is cut off from its replicas and sentinels accepts writes until it knows that it is no longer the master.
/// Nodes on its side of the network do not receive revocations of the other side meanwhile. Set `min-replicas-to-write 1`:
/// it then refuses writes after `min-replicas-max-lag`, heartbeats included, and its nodes respond with 503.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use tower_warden::{Clock, SystemClock, revocation::Revocation};
/// use tower_warden_redis::{RedisConnection, RedisRevocationList};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let list = RedisRevocationList::listen(RedisConnection::connect(client.clone(), "billing".parse()?).await, client).await;
/// let until = SystemClock::default().now() + Duration::from_secs(3600);
/// list.revoke(Revocation::token("https://auth.example.com", "4711"), until).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisRevocationList(Arc<Inner>);

struct Inner {
    connection: RedisConnection,
    names: Names,
    replica: Arc<Replica>,
    subscriber: AbortHandle,
}

/// The keys and the channel of the list. In a cluster, the text in braces determines the slot.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// A hash: a name, and the times of its revocation.
    pub(super) revocations: String,
    /// A sorted set: a name, and the time after which its revocation is deleted.
    pub(super) expiries: String,
    pub(super) channel: String,
}

impl RedisRevocationList {
    /// Revokes and queries through `connection`, and subscribes on a separate connection of `client`, both to the same
    /// servers.
    ///
    /// Returns when this node has received the whole list, and after two seconds otherwise: attempts continue in the
    /// background.
    pub async fn listen(connection: RedisConnection, client: impl Into<RedisClient>) -> Self {
        let names = Names::new(connection.prefix());
        let replica = Arc::new(Replica::new(&connection.clock()));
        let connection = connection.used_for(Purpose::Revocations);
        let listening = Listening {
            client: client.into(),
            connection: connection.clone().used_for(Purpose::RevocationMessages),
            channel: names.channel.clone(),
            purpose: Purpose::RevocationMessages,
            interval: HEARTBEAT_INTERVAL,
            limit: HEARTBEAT_LIMIT,
        };
        let listener = Arc::new(Subscriber::new(connection.clone(), Arc::clone(&replica), names.revocations.clone()));
        let subscriber = tokio::spawn(async move { listening.run(Arc::downgrade(&listener)).await }).abort_handle();
        let complete = async {
            while !replica.is_complete() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(START_TIMEOUT, complete).await;
        Self(Arc::new(Inner { connection, names, replica, subscriber }))
    }

    /// Revokes on every node; on this one before it returns.
    ///
    /// A revocation that Redis has stored, or may have, is reported to the receiver of notices of the connection's
    /// [environment](RedisConnection::environment), on this node only.
    ///
    /// `until` is the time at which the last of the named credentials expires, or `None` if it is not known, as in
    /// [`MemoryRevocationList::revoke`](tower_warden::revocation::MemoryRevocationList::revoke).
    ///
    /// # Errors
    ///
    /// If the name is too long, is empty or lacks an issuer, the named credentials have expired, or Redis did not reply. In the last
    /// case the revocation applies on this node, and Redis may have stored it: revoke again.
    pub async fn revoke(
        &self,
        revocation: Revocation,
        until: impl Into<Option<UnixTime>> + Send,
    ) -> Result<(), RevocationError> {
        revocation.ensure_storable()?;
        let Inner { connection, names, replica, .. } = &*self.0;
        let now = connection.clock().now();
        let until = until.into().unwrap_or_else(|| revocation.default_end(now));
        if until + Revocation::GRACE <= now {
            return Err(RevocationError::new(RevocationErrorKind::Expired));
        }
        let stored: Vec<_> = revocation.names().map(|name| name.to_bytes()).collect();
        let numbers = [revocation.issued_until(), until].map(|time| time.as_secs().to_string());
        let grace = Revocation::GRACE.as_secs().to_string();
        let mut arguments =
            vec![numbers[0].as_bytes(), numbers[1].as_bytes(), grace.as_bytes(), names.channel.as_bytes()];
        arguments.extend(stored.iter().map(Vec::as_slice));
        let mut pending = PendingRevocation { revocation: &revocation, connection, is_stored: false };
        let reply = connection.run_script(&REVOKE, &[&names.revocations, &names.expiries], &arguments).await;
        replica.add(revocation.clone(), until);
        pending.is_stored = reply.is_ok();
        reply.map(drop).map_err(|_| unavailable())
    }

    /// Returns `true` if this node holds the whole list, and therefore does not query Redis.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.replica.is_complete()
    }

    /// The number of messages that were dropped because they are not revocations.
    ///
    /// Look for other software that publishes to the channel, and restrict it by `ACL`.
    #[must_use]
    pub fn malformed_messages(&self) -> u64 {
        self.0.replica.malformed_messages()
    }
}

impl RevocationList for RedisRevocationList {
    fn is_revoked(&self, identity: &Identity) -> Eventual<Result<bool, Unavailable>> {
        let Inner { connection, names, replica, .. } = &*self.0;
        match replica.is_revoked(identity) {
            Eventual::Now(Ok(false)) if !replica.is_complete() => {}
            decided => return decided,
        }
        let fields: Vec<_> = RevocationName::all_of(identity).map(|name| name.to_bytes()).collect();
        if fields.is_empty() {
            return Eventual::Now(Ok(false));
        }
        let (connection, revocations) = (connection.clone(), names.revocations.clone());
        let issued_at = identity.issued_at;
        // A round trip, because the copy of this node may be incomplete.
        Eventual::later(async move {
            let unavailable = || Unavailable::new("the revocation list");
            let fields: Vec<_> = fields.iter().map(Vec::as_slice).collect();
            let reply = connection.run_script(&QUERY, &[&revocations], &fields).await.map_err(|_| unavailable())?;
            covers(&reply, issued_at, connection.clock().now()).ok_or_else(unavailable)
        })
    }
}

impl fmt::Debug for RedisRevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRevocationList").field("is_complete", &self.is_complete()).finish_non_exhaustive()
    }
}

/// Reports a revocation when it is dropped, also if the caller does not wait for the reply.
struct PendingRevocation<'a> {
    revocation: &'a Revocation,
    connection: &'a RedisConnection,
    is_stored: bool,
}

impl Drop for PendingRevocation<'_> {
    fn drop(&mut self) {
        let outcome = if self.is_stored { Ok(()) } else { Err(unavailable()) };
        // A panic while another one unwinds would abort the process.
        let _ = catch_unwind(AssertUnwindSafe(|| self.revocation.report_to(self.connection.settings(), &outcome)));
    }
}

const fn unavailable() -> RevocationError {
    RevocationError::new(RevocationErrorKind::Unavailable)
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.subscriber.abort();
    }
}

impl Names {
    fn new(prefix: &str) -> Self {
        Self {
            revocations: format!("{prefix}tower-warden:{{revoked:1}}:names"),
            expiries: format!("{prefix}tower-warden:{{revoked:1}}:ends"),
            // In a cluster, the text in braces determines the slot of keys and the node of the subscription.
            channel: format!("{prefix}tower-warden:{{revoked:1}}"),
        }
    }
}

/// Returns `true` if a revocation of the reply covers a credential; `None` if a revocation cannot be parsed, which must
/// not admit the credential.
fn covers(reply: &Value, issued_at: Option<UnixTime>, now: UnixTime) -> Option<bool> {
    let Value::Array(entries) = reply else { return None };
    let covers = |entry: &Value| match entry {
        Value::Nil => Some(false),
        Value::BulkString(times) => {
            let (issued_until, until) = parse_times(times)?;
            Some(now < until + Revocation::GRACE && issued_at.is_none_or(|at| at <= issued_until))
        }
        _ => None,
    };
    let covering = entries.iter().map(covers).collect::<Option<Vec<_>>>()?;
    Some(covering.contains(&true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_cannot_be_parsed_is_no_answer() {
        let at = UnixTime::from_secs;
        let reply = |text: &[u8]| Value::Array(vec![Value::Nil, Value::BulkString(text.to_vec())]);
        assert_eq!(covers(&reply(b"100 2000"), Some(at(100)), at(1_000)), Some(true));
        assert_eq!(covers(&reply(b"100 2000"), Some(at(101)), at(1_000)), Some(false));
        assert_eq!(covers(&reply(b"100 2000"), None, at(2_600)), Some(false));
        for odd in [&b""[..], b"100", b"100 x", b"\xff 1"] {
            assert_eq!(covers(&reply(odd), None, at(1_000)), None);
        }
        assert_eq!(covers(&Value::Nil, None, at(1_000)), None);
    }
}
