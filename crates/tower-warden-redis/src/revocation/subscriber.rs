//! The task that keeps a replica complete.
//!
//! Why a replica that is reported as complete lacks no revocation that is older than 80 milliseconds:
//!
//! 1. The subscription is confirmed before the whole list is read. A revocation is therefore in the list that was read, or
//!    it is published to the subscription.
//! 2. Redis sends messages and replies on one connection in order. A reply to a `PING` proves that all revocations which
//!    were published before it have been received.
//! 3. A `PING` is sent every 30 milliseconds. If its reply takes more than 50 milliseconds, the replica is incomplete until
//!    the reply arrives.
//! 4. The replica is incomplete as soon as the connection is lost, until steps 1 and 2 are repeated. A guard ensures this
//!    for every end of the task, including the end of its runtime.

use std::{iter, ops::ControlFlow, pin::pin, sync::Weak, time::Duration};

use futures_util::{StreamExt, future};
use redis::{
    Client, Value,
    aio::{PubSubSink, PubSubStream},
};
use tokio::time::{sleep, timeout};

use super::{list::Names, replica::Replica};
use crate::{pubsub::subscribe, retry::retry};

/// The interval between two pings, and the time limit of a reply: less than 100 milliseconds together.
const PING_INTERVAL: Duration = Duration::from_millis(30);
const PING_TIMEOUT: Duration = Duration::from_millis(50);

/// The time limit of a reply, or of an attempt to connect, before another connection is tried.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// The delay between attempts to connect.
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// Keeps the replica up to date until it is dropped.
pub(super) async fn follow(client: Client, names: Names, replica: Weak<Replica>) {
    let _guard = IncompleteOnDrop(replica.clone());
    let attempt = || async {
        let opened = timeout(CONNECTION_TIMEOUT, open(&client, &names)).await;
        match (replica.upgrade(), opened) {
            (None, _) => ControlFlow::Break(None),
            (Some(_), Ok(Some(opened))) => ControlFlow::Break(Some(opened)),
            (Some(_), Ok(None) | Err(_)) => ControlFlow::Continue(()),
        }
    };
    while let Some(Some((sink, stream, revocations))) = retry(iter::repeat(RECONNECT_DELAY), attempt).await {
        let Some(current) = replica.upgrade() else { return };
        for pair in revocations.chunks_exact(2) {
            current.add_encoded(&pair[0], &pair[1]);
        }
        current.set_complete();
        drop(current);
        // Whichever ends first has lost the connection. `receive` is polled first, so that messages are applied before
        // the reply that follows them.
        let (receive, ping) = (pin!(receive(stream, &replica)), pin!(ping(sink, &replica)));
        future::select(receive, ping).await;
        set_incomplete(&replica);
        tracing::warn!("the subscription to revocations is lost; Redis is queried for each credential meanwhile");
        sleep(RECONNECT_DELAY).await;
    }
}

/// Subscribes, and then reads all revocations: names and times in turn.
async fn open(client: &Client, names: &Names) -> Option<(PubSubSink, PubSubStream, Vec<Vec<u8>>)> {
    let subscription = subscribe(client, &names.channel).await.ok()?;
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let revocations = redis::cmd("HGETALL").arg(&names.revocations).query_async(&mut connection).await.ok()?;
    let (sink, stream) = subscription.split();
    Some((sink, stream, revocations))
}

/// Applies messages until the connection is lost.
async fn receive(mut stream: PubSubStream, replica: &Weak<Replica>) {
    while let (Some(message), Some(replica)) = (stream.next().await, replica.upgrade()) {
        let payload = message.get_payload_bytes();
        // Two numbers and the name, separated by spaces; the name may contain spaces.
        let spaces = payload.iter().enumerate().filter(|(_, byte)| **byte == b' ');
        let end_of_times = spaces.map(|(index, _)| index).nth(1).unwrap_or(payload.len());
        replica.add_encoded(payload.get(end_of_times + 1..).unwrap_or_default(), &payload[..end_of_times]);
    }
}

/// Checks the connection until it is lost.
async fn ping(mut sink: PubSubSink, replica: &Weak<Replica>) {
    loop {
        sleep(PING_INTERVAL).await;
        let mut reply = pin!(sink.ping::<Value>());
        let is_alive = match timeout(PING_TIMEOUT, reply.as_mut()).await {
            Ok(reply) => reply.is_ok(),
            Err(_) => {
                set_incomplete(replica);
                timeout(CONNECTION_TIMEOUT, reply).await.is_ok_and(|reply| reply.is_ok())
            }
        };
        match replica.upgrade() {
            Some(replica) if is_alive => replica.set_complete(),
            _ => return,
        }
    }
}

fn set_incomplete(replica: &Weak<Replica>) {
    if let Some(replica) = replica.upgrade() {
        replica.set_incomplete();
    }
}

/// Reports the replica as incomplete when it is dropped.
struct IncompleteOnDrop(Weak<Replica>);

impl Drop for IncompleteOnDrop {
    fn drop(&mut self) {
        set_incomplete(&self.0);
    }
}
