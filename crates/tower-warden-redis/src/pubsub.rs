//! Subscriptions.

use redis::{Client, RedisResult, aio::PubSub};

/// Subscribes to a channel on a new connection; the subscription is confirmed when this returns.
pub(crate) async fn subscribe(client: &Client, channel: &str) -> RedisResult<PubSub> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(channel).await?;
    Ok(subscription)
}
