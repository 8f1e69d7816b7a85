//! A shared connection to Redis or Valkey.

use std::{fmt, sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, Client, Cmd, RedisResult, Value, aio::ConnectionLike};
use tower_warden::{Clock, Environment, Namespace};

pub(crate) use self::link::CommandError;
use self::link::{CONNECT_TIMEOUT, Link};

mod link;
mod transport;

/// The default time limit of a command.
const TIMEOUT: Duration = Duration::from_millis(20);

/// A connection to Redis or Valkey, shared by its clones and by all stores that use it.
///
/// A command may take 20 milliseconds by default. If the connection breaks, or three commands in a row exceed that time,
/// the connection is down: commands fail at once, and it is restored in the background.
///
/// Redis 5 or any Valkey, and a tokio runtime, are required. The runtime that created the connection may end: commands
/// on another runtime restore it there.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use tower_warden_redis::{RedisConnection, RedisReplayGuard};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let connection = RedisConnection::connect(client, "billing".parse()?).await.timeout(Duration::from_millis(50));
/// let guard = RedisReplayGuard::new(connection);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisConnection {
    link: Arc<Link>,
    clock: Arc<dyn Clock>,
    /// The namespace and a colon.
    prefix: Arc<str>,
}

impl RedisConnection {
    /// Connects to a server with the configuration of the client, including its TLS configuration.
    ///
    /// Returns when the connection is up, and after one second otherwise: an unavailable server does not prevent the
    /// start of the process.
    ///
    /// All keys and channels begin with the namespace and a colon. Two services on one server need two namespaces: otherwise
    /// they share limits, revocations, used proofs and notifications of changed keys.
    pub async fn connect(client: Client, namespace: Namespace) -> Self {
        let connect = move || {
            let client = client.clone();
            async move { client.get_multiplexed_async_connection_with_config(&connection_config()).await }
        };
        Self::connect_with(connect, namespace).await
    }

    /// Connects by a closure: to a cluster, or to the current master that a sentinel reports.
    ///
    /// The closure is called for each attempt to connect.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_warden_redis::RedisConnection;
    ///
    /// let client = redis::Client::open("redis://127.0.0.1/")?;
    /// let connect = move || {
    ///     let client = client.clone();
    ///     async move { client.get_multiplexed_async_connection().await }
    /// };
    /// let connection = RedisConnection::connect_with(connect, "billing".parse()?).await;
    /// # let _ = connection;
    /// # Ok(()) }
    /// ```
    pub async fn connect_with<F, C>(connect: impl Fn() -> F + Send + Sync + 'static, namespace: Namespace) -> Self
    where
        F: Future<Output = RedisResult<C>> + Send + 'static,
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        let link = Link::new(transport::connector(connect), TIMEOUT);
        if tokio::time::timeout(CONNECT_TIMEOUT, link.connect()).await != Ok(true) {
            // Starts the attempts in the background.
            let _ = link.transport();
        }
        Self { link, clock: Environment::default().clock(), prefix: prefix(&namespace) }
    }

    /// Sets the clock, and the namespace if the environment has one, of the stores that are created with this handle or
    /// with later clones of it.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        if let Some(namespace) = environment.namespace() {
            self.prefix = prefix(namespace);
        }
        self
    }

    /// Sets the time limit of a command, for all clones: 20 milliseconds by default.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.link.set_timeout(timeout);
        self
    }

    /// Returns `true` if the connection is up, as far as is known.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }

    /// Returns `true` if commands can be sent; otherwise, ensures that the connection is being restored.
    pub(crate) fn is_ready(&self) -> bool {
        self.link.transport().is_ok()
    }

    /// Sends a command, unless the connection is down, and awaits the reply within the time limit.
    pub(crate) async fn run(&self, command: Cmd) -> Result<Value, CommandError> {
        self.link.run(command).await
    }

    pub(crate) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The prefix of all keys and channels.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConnection").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

fn prefix(namespace: &Namespace) -> Arc<str> {
    format!("{namespace}:").into()
}

/// Limits that are longer than those of the link, which apply first.
fn connection_config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT))
}
