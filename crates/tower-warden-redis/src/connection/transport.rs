//! Connections of any type of the `redis` crate.

use std::{fmt, pin::Pin, sync::Arc};

use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, aio::ConnectionLike};

pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Makes a connection.
pub(super) type Connector = Box<dyn Fn() -> BoxFuture<RedisResult<Arc<dyn Transport>>> + Send + Sync>;

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
        Box::pin(async move { Ok(Arc::new(connecting.await?) as Arc<dyn Transport>) })
    })
}

/// Returns `true` if a new connection may help: this one is broken, or its server accepts no writes.
pub(super) fn needs_reconnect(error: &RedisError) -> bool {
    let is_unsuitable_server = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
        )
    );
    is_unsuitable_server || error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}

/// The category of an error, for the log: its text may contain the command or credentials.
pub(super) struct Category<'a>(pub(super) &'a RedisError);

impl fmt::Display for Category<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.category())
    }
}
