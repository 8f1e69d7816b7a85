//! A revocation list on Redis.

use std::{fmt, sync::Arc, time::Duration};

use redis::{Client, Value};
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
    subscriber,
};
use crate::connection::RedisConnection;

const SCRIPT: &str = include_str!("revoke.lua");

/// The maximum time that the start of a list waits until it is complete.
const START_TIMEOUT: Duration = Duration::from_secs(2);

/// A [`RevocationList`] on Redis or Valkey that every node replicates; clones share everything.
///
/// Each node holds the whole list, so a query needs no round trip. Revocations reach the nodes by publish/subscribe. If a
/// node has received nothing from Redis for 80 milliseconds, its copy may be incomplete: until Redis replies again, the
/// node queries it for each credential, and refuses requests with 503 if the query fails. A revocation that a node has
/// received always applies.
///
/// The list holds up to 100 000 revocations on a node. If there are more, nodes query Redis for each credential.
///
/// # Deployment caveat
///
/// Revocations that Redis loses, because it does not persist them or evicts keys, are unknown to nodes that start later:
/// set `appendonly yes` and `maxmemory-policy noeviction`.
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
    /// Revokes and queries through `connection`, and subscribes on a separate connection of `client`.
    ///
    /// Returns when this node has received the whole list, and after two seconds otherwise: attempts continue in the
    /// background.
    pub async fn listen(connection: RedisConnection, client: Client) -> Self {
        let names = Names::new(connection.prefix());
        let replica = Arc::new(Replica::new(connection.clock()));
        let subscriber = subscriber::follow(client, names.clone(), Arc::downgrade(&replica));
        let subscriber = tokio::spawn(subscriber).abort_handle();
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
    /// `until` is the time at which the last of the named credentials expires, as in
    /// [`MemoryRevocationList::revoke`](tower_warden::revocation::MemoryRevocationList::revoke).
    ///
    /// # Errors
    ///
    /// If the name is too long, the named credentials have expired, or Redis did not reply. In the last case the
    /// revocation applies on this node, and Redis may have stored it: revoke again.
    pub async fn revoke(&self, revocation: Revocation, until: UnixTime) -> Result<(), RevocationError> {
        if revocation.name().len() > RevocationName::MAX_LEN {
            return Err(RevocationError::new(RevocationErrorKind::TooLong));
        }
        let Inner { connection, names, replica, .. } = &*self.0;
        if until + Revocation::GRACE <= connection.clock().now() {
            return Err(RevocationError::new(RevocationErrorKind::Expired));
        }
        let mut command = redis::cmd("EVAL");
        command.arg(SCRIPT).arg(2).arg(&names.revocations).arg(&names.expiries).arg(revocation.name().to_bytes());
        command.arg(revocation.issued_until().as_secs()).arg(until.as_secs());
        command.arg(Revocation::GRACE.as_secs()).arg(&names.channel);
        let reply = connection.run(command).await;
        replica.add(revocation, until);
        reply.map(drop).map_err(|_| RevocationError::new(RevocationErrorKind::Unavailable))
    }

    /// Returns `true` if this node holds the whole list, and therefore does not query Redis.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.replica.is_complete()
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
        let mut command = redis::cmd("HMGET");
        command.arg(&names.revocations).arg(fields);
        let (connection, issued_at) = (connection.clone(), identity.issued_at);
        // A round trip, because the copy of this node may be incomplete.
        Eventual::later(async move {
            let unavailable = || Unavailable::new("the revocation list");
            let reply = connection.run(command).await.map_err(|_| unavailable())?;
            covers(&reply, issued_at, connection.clock().now()).ok_or_else(unavailable)
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
        self.subscriber.abort();
    }
}

impl Names {
    fn new(prefix: &str) -> Self {
        Self {
            revocations: format!("{prefix}tower-warden:{{revoked:1}}:names"),
            expiries: format!("{prefix}tower-warden:{{revoked:1}}:ends"),
            channel: format!("{prefix}tower-warden:revoked:1"),
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
