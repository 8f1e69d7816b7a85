//! Connections to one server, to the master that sentinels report, and to a cluster.

#[cfg(feature = "sentinel")]
use std::sync::Arc;
use std::time::Duration;

use redis::AsyncConnectionConfig;

#[cfg(feature = "sentinel")]
use super::transport::FindMaster;
use super::transport::{Connected, Connector};
use crate::client::{RedisClient, Servers};

/// The time limit of an attempt to connect to one address.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit of an attempt to find the master and to connect to it: sentinels that do not reply are in it.
#[cfg(any(feature = "cluster", feature = "sentinel"))]
pub(super) const FIND_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn connector(client: RedisClient) -> Connector {
    Box::new(move || {
        let servers = client.0.clone();
        Box::pin(async move {
            match servers {
                #[cfg(feature = "cluster")]
                Servers::Cluster(client) => {
                    let config = redis::cluster::ClusterConfig::new()
                        .set_connection_timeout(CONNECT_TIMEOUT)
                        .set_response_timeout(CONNECT_TIMEOUT);
                    Ok(Connected::new(client.get_async_connection_with_config(config).await?))
                }
                #[cfg(feature = "sentinel")]
                Servers::Sentinel(sentinels) => {
                    let master = crate::client::current_master(&sentinels).await?;
                    let connection = master.get_multiplexed_async_connection_with_config(&config()).await?;
                    let address = master.get_connection_info().addr().clone();
                    Ok(Connected { master: Some((address, find(sentinels))), ..Connected::new(connection) })
                }
                Servers::Single(client) => {
                    Ok(Connected::new(client.get_multiplexed_async_connection_with_config(&config()).await?))
                }
            }
        })
    })
}

#[cfg(feature = "sentinel")]
fn find(sentinels: Arc<tokio::sync::Mutex<redis::sentinel::SentinelClient>>) -> FindMaster {
    Box::new(move || {
        let sentinels = Arc::clone(&sentinels);
        Box::pin(async move {
            let master = crate::client::current_master(&sentinels).await?;
            Ok(master.get_connection_info().addr().clone())
        })
    })
}

/// The time limit of an attempt to connect.
pub(super) const fn time_limit(client: &RedisClient) -> Duration {
    match client.0 {
        Servers::Single(_) => CONNECT_TIMEOUT,
        #[cfg(any(feature = "cluster", feature = "sentinel"))]
        _ => FIND_TIMEOUT,
    }
}

/// Replies have no time limit but that of the link, which the user sets and which may be a longer one.
fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(None)
}
