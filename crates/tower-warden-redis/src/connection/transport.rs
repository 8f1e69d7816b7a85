//! Connections of any type of the `redis` crate.

use std::{pin::Pin, sync::Arc};

use redis::{Cmd, ConnectionAddr, RedisResult, Value, aio::ConnectionLike};

pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Makes a connection.
pub(super) type Connector = Box<dyn Fn() -> BoxFuture<RedisResult<Connected>> + Send + Sync>;

/// Asks the sentinels for the address of the master.
pub(super) type FindMaster = Box<dyn Fn() -> BoxFuture<RedisResult<ConnectionAddr>> + Send + Sync>;

/// A new connection.
pub(super) struct Connected {
    pub(super) transport: Arc<dyn Transport>,
    /// The address that sentinels have reported.
    pub(super) master: Option<(ConnectionAddr, FindMaster)>,
}

impl Connected {
    pub(super) fn new(transport: impl Transport + 'static) -> Self {
        Self { transport: Arc::new(transport), master: None }
    }
}

/// Sends commands and receives replies.
pub(super) trait Transport: Send + Sync {
    fn send(&self, command: Cmd) -> BoxFuture<RedisResult<Value>>;
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Transport for C {
    fn send(&self, command: Cmd) -> BoxFuture<RedisResult<Value>> {
        let mut connection = self.clone();
        Box::pin(async move { command.query_async(&mut connection).await })
    }
}

pub(super) fn connector<F, C>(connect: impl Fn() -> F + Send + Sync + 'static) -> Connector
where
    F: Future<Output = RedisResult<C>> + Send + 'static,
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    Box::new(move || {
        let connecting = connect();
        Box::pin(async move { Ok(Connected::new(connecting.await?)) })
    })
}
