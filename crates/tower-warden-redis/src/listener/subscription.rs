//! Subscriptions at one server, at the master that sentinels report, and in a cluster.

use std::{pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt};
use redis::{AsyncConnectionConfig, Client, Cmd, RedisResult, Value};

use crate::client::{RedisClient, Servers};

/// The time limit of an attempt to connect to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit of a reply, instead of the half second of the crate `redis`: that of a large list takes longer.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The channel and the payload of each message. It ends when the connection is lost.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = (Vec<u8>, Vec<u8>)> + Send>>;

pub(crate) struct Subscription {
    pub(crate) messages: Messages,
    pub(crate) source: Source,
}

/// The server at which a subscription was made, for reading what is stored there.
pub(crate) enum Source {
    #[cfg(feature = "cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
    Server(Box<Client>),
}

impl Source {
    /// Sends a command whose reply may be large; it ends within [`READ_TIMEOUT`] after connecting.
    pub(crate) async fn query(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => command.query_async(connection).await,
            Self::Server(client) => {
                // A separate connection: that of the subscription takes no other commands.
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_response_timeout(Some(READ_TIMEOUT));
                let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
                command.query_async(&mut connection).await
            }
        }
    }
}

/// Subscribes on a new connection; the subscription is confirmed when this returns.
pub(crate) async fn subscribe(client: &RedisClient, channels: [&str; 2]) -> RedisResult<Subscription> {
    match &client.0 {
        #[cfg(feature = "cluster")]
        Servers::Cluster(client) => in_cluster(client, channels).await,
        #[cfg(feature = "sentinel")]
        Servers::Sentinel(sentinels) => {
            let master = crate::client::current_master(sentinels).await?;
            at_server(Box::new(master), channels).await
        }
        Servers::Single(client) => at_server(client.clone(), channels).await,
    }
}

async fn at_server(client: Box<Client>, channels: [&str; 2]) -> RedisResult<Subscription> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(&channels).await?;
    let messages = subscription.into_on_message();
    let messages =
        messages.map(|message| (message.get_channel_name().as_bytes().to_vec(), message.get_payload_bytes().to_vec()));
    Ok(Subscription { messages: Box::pin(messages), source: Source::Server(client) })
}

/// Subscribes at the master of the channels' slot, to which the client sends commands with a channel as their key.
#[cfg(feature = "cluster")]
async fn in_cluster(client: &redis::cluster::ClusterClient, channels: [&str; 2]) -> RedisResult<Subscription> {
    use futures_util::stream;
    use redis::{PushInfo, PushKind, cluster::ClusterConfig};

    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<PushInfo>();
    let config = ClusterConfig::new()
        .set_connection_timeout(CONNECT_TIMEOUT)
        .set_response_timeout(READ_TIMEOUT)
        .set_push_sender(sender);
    let mut connection = client.get_async_connection_with_config(config).await?;
    for channel in channels {
        connection.subscribe(channel).await?;
    }
    // The connection is kept for as long as the stream is.
    let state = (receiver, connection.clone(), channels.len());
    let messages = stream::unfold(state, |(mut receiver, connection, mut confirmations)| async move {
        loop {
            let PushInfo { kind, mut data } = receiver.recv().await?;
            match (kind, data.pop(), data.pop()) {
                // The client subscribes again by itself, but messages in between are lost.
                (PushKind::Disconnection, ..) => return None,
                (PushKind::Subscribe, ..) => confirmations = confirmations.checked_sub(1)?,
                (PushKind::Message, Some(Value::BulkString(payload)), Some(Value::BulkString(channel))) => {
                    return Some(((channel, payload), (receiver, connection, confirmations)));
                }
                _ => {}
            }
        }
    });
    Ok(Subscription { messages: Box::pin(messages), source: Source::Cluster(connection) })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::sleep,
    };

    use super::*;

    /// Replies to the greeting of the client at once, and to other commands slowly.
    async fn reply(mut stream: TcpStream) {
        let mut buffer = [0; 4_096];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            let greetings = String::from_utf8_lossy(&buffer[..length]).matches("SETINFO").count();
            if greetings == 0 {
                sleep(Duration::from_millis(700)).await;
            }
            stream.write_all("+OK\r\n".repeat(greetings.max(1)).as_bytes()).await.expect("the client reads");
        }
    }

    #[tokio::test]
    async fn a_large_reply_may_take_longer_than_the_client_allows_by_default() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            reply(stream).await;
        });
        let client = Client::open(format!("redis://{address}/")).expect("a URL");
        let reply = Source::Server(Box::new(client)).query(&redis::cmd("HGETALL")).await;
        assert_eq!(reply, Ok(Value::Okay));
        server.abort();
    }
}
