//! The servers that connections are made to.

use std::fmt;
#[cfg(feature = "sentinel")]
use std::sync::Arc;

use redis::Client;
#[cfg(feature = "cluster")]
use redis::cluster::ClusterClient;
#[cfg(feature = "sentinel")]
use redis::{RedisResult, sentinel::SentinelClient};

/// The servers that connections are made to: one server, the master that sentinels report, or a cluster.
///
/// It is made from a client of the crate `redis`, which carries the addresses, the user and the TLS configuration. Every
/// function that takes one also takes the client itself.
///
/// | client | cargo feature | connects to |
/// |---|---|---|
/// | [`redis::Client`] | | this address |
/// | `redis::sentinel::SentinelClient` for `SentinelServerType::Master` | `sentinel` | the master that the sentinels report, also after a failover |
/// | `redis::cluster::ClusterClient` with `ProtocolVersion::RESP3` | `cluster` | for each key, the master of its slot, also after a failover |
///
/// # Examples
///
/// ```no_run
/// # #[cfg(all(feature = "sentinel", feature = "cluster"))]
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use redis::{
///     ProtocolVersion,
///     cluster::ClusterClientBuilder,
///     sentinel::{SentinelClient, SentinelServerType},
/// };
/// use tower_warden_redis::{RedisClient, RedisConnection, RedisRevocationList};
///
/// let sentinels = vec!["redis://sentinel-1:26379/", "redis://sentinel-2:26379/", "redis://sentinel-3:26379/"];
/// let client = SentinelClient::build(sentinels, "mymaster".to_owned(), None, SentinelServerType::Master)?;
/// let client = RedisClient::from(client);
/// let connection = RedisConnection::connect(client.clone(), "billing".parse()?).await;
/// let revocations = RedisRevocationList::listen(connection, client).await;
///
/// let cluster = ClusterClientBuilder::new(["redis://node-1/", "redis://node-2/"])
///     .use_protocol(ProtocolVersion::RESP3)
///     .build()?;
/// let connection = RedisConnection::connect(cluster.clone(), "billing".parse()?).await;
/// let revocations = RedisRevocationList::listen(connection, cluster).await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisClient(pub(crate) Servers);

#[derive(Clone)]
pub(crate) enum Servers {
    #[cfg(feature = "cluster")]
    Cluster(Box<ClusterClient>),
    #[cfg(feature = "sentinel")]
    Sentinel(Arc<tokio::sync::Mutex<SentinelClient>>),
    Single(Box<Client>),
}

impl From<Client> for RedisClient {
    fn from(client: Client) -> Self {
        Self(Servers::Single(Box::new(client)))
    }
}

#[cfg(feature = "sentinel")]
impl From<SentinelClient> for RedisClient {
    fn from(client: SentinelClient) -> Self {
        Self(Servers::Sentinel(Arc::new(tokio::sync::Mutex::new(client))))
    }
}

#[cfg(feature = "cluster")]
impl From<ClusterClient> for RedisClient {
    fn from(client: ClusterClient) -> Self {
        Self(Servers::Cluster(Box::new(client)))
    }
}

impl fmt::Debug for RedisClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            #[cfg(feature = "cluster")]
            Servers::Cluster(_) => "RedisClient(Cluster)",
            #[cfg(feature = "sentinel")]
            Servers::Sentinel(_) => "RedisClient(Sentinel)",
            Servers::Single(_) => "RedisClient(Single)",
        })
    }
}

/// The client of the server that accepts writes now.
#[cfg(feature = "sentinel")]
pub(crate) async fn current_master(sentinels: &tokio::sync::Mutex<SentinelClient>) -> RedisResult<Client> {
    sentinels.lock().await.async_get_client().await
}
