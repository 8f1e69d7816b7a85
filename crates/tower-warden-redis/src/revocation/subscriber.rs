//! The task that keeps a replica complete.
//!
//! Why a replica that is reported as complete lacks no revocation that is older than the lease:
//!
//! 1. The subscription is confirmed before the whole list is read. A revocation is therefore in the list that was read, or
//!    it is published to the subscription.
//! 2. A heartbeat that was sent after the reading proves that the list was read from the server that accepts writes, and that
//!    all messages before it have been received: see the module [`listener`](crate::listener).
//! 3. The lease is counted from the time at which the heartbeat was sent. It ends by itself, also if the task does not run.

use std::{sync::Arc, time::Duration};

use redis::Value;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::replica::Replica;
use crate::{
    connection::{Purpose, RedisConnection, RedisProblem},
    listener::{Listener, READ_TIMEOUT, Source},
};

/// The time between the ends of two readings: messages of other software cannot force more.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// The time between two readings of a list that cannot be stored completely.
const PARTIAL_READ_INTERVAL: Duration = Duration::from_secs(30);

/// The time between two checks whether the list has to be read.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

pub(super) struct Subscriber {
    connection: RedisConnection,
    replica: Arc<Replica>,
    /// The key of the list.
    key: String,
}

impl Subscriber {
    pub(super) const fn new(connection: RedisConnection, replica: Arc<Replica>, key: String) -> Self {
        Self { connection, replica, key }
    }

    /// Reads the whole list, and returns whether all of it could be stored; `None` if Redis does not reply.
    async fn read_once(&self, source: &mut Source) -> Option<bool> {
        let reading = self.replica.begin_reading();
        let mut command = redis::cmd("HGETALL");
        command.arg(&self.key);
        let reply = timeout(READ_TIMEOUT, source.query(&command)).await;
        let reply = reply.map_err(|_| RedisProblem::Unreachable);
        let reply = reply.and_then(|reply| reply.map_err(|error| RedisProblem::of(&error)));
        match &reply {
            Ok(_) => self.connection.worked(Purpose::RevocationReads),
            Err(problem) => self.connection.failed(Purpose::RevocationReads, *problem),
        }
        let entries = match reply.ok()? {
            Value::Array(items) => items,
            Value::Map(pairs) => pairs.into_iter().flat_map(|(name, times)| [name, times]).collect(),
            _ => return None,
        };
        let mut is_whole = true;
        for pair in entries.chunks_exact(2) {
            let [Value::BulkString(name), Value::BulkString(times)] = pair else { return None };
            is_whole &= self.replica.add_stored(name, times);
        }
        if is_whole {
            self.replica.end_reading(&reading);
        } else {
            tracing::warn!("a stored revocation cannot be copied to this node; Redis is queried for each credential");
        }
        Some(is_whole)
    }
}

impl Listener for Subscriber {
    async fn read(&self, mut source: Source) {
        // What was read before belongs to an earlier subscription.
        self.replica.lose();
        let mut next = Instant::now();
        loop {
            if self.replica.needs_reading() {
                sleep_until(next).await;
                let interval = match self.read_once(&mut source).await {
                    Some(false) => PARTIAL_READ_INTERVAL,
                    Some(true) | None => READ_INTERVAL,
                };
                next = Instant::now() + interval;
            }
            sleep(CHECK_INTERVAL).await;
        }
    }

    async fn wants_heartbeat(&self) {
        self.replica.was_read().await;
    }

    fn message(&self, payload: &[u8]) {
        self.replica.add_message(payload);
    }

    fn heard(&self, published_until: std::time::Instant) {
        self.replica.heard(published_until);
    }

    fn lost(&self) {
        self.replica.lose();
    }
}

/// Reports the replica as incomplete when the task ends.
impl Drop for Subscriber {
    fn drop(&mut self) {
        self.replica.lose();
    }
}
