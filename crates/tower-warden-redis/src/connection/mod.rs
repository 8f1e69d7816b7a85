//! A shared connection to Redis or Valkey.

use std::{fmt, sync::Arc, time::Duration};

use redis::{Cmd, RedisResult, Script, ToRedisArgs, Value, aio::ConnectionLike};
use tower_warden::{Clock, Environment, Namespace};

pub use self::problem::RedisProblem;
use self::{connect::CONNECT_TIMEOUT, link::Link, transport::Connector};
pub(crate) use self::{link::CommandError, report::Purpose};
use crate::client::RedisClient;

mod connect;
mod link;
mod problem;
mod report;
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
    environment: Environment,
    /// The namespace and a colon.
    prefix: Arc<str>,
    /// The use of this handle.
    purpose: Purpose,
}

impl RedisConnection {
    /// Connects to a server, to the master that sentinels report, or to a cluster, with the configuration of the client,
    /// including its TLS configuration.
    ///
    /// Returns when the connection is up, and after a time limit otherwise, of one second for one server and three for the
    /// others: an unavailable server does not prevent the start of the process.
    ///
    /// All keys and channels begin with the namespace and a colon, except the key `tower-warden:probe`, which never
    /// exists. Two services on one server need two namespaces: otherwise they share limits, revocations, used proofs
    /// and notifications of changed keys.
    ///
    /// With sentinels, the connection follows the master: it is made again when its server accepts no writes, and when the
    /// sentinels, which are queried every second, report another address.
    pub async fn connect(client: impl Into<RedisClient>, namespace: Namespace) -> Self {
        let client = client.into();
        let limit = connect::time_limit(&client);
        Self::start(connect::connector(client), limit, &namespace).await
    }

    /// Connects by a closure, for any other connection of the crate `redis`.
    ///
    /// The closure is called for each attempt to connect. A connection to a replica is closed and made again.
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
        Self::start(transport::connector(connect), CONNECT_TIMEOUT, &namespace).await
    }

    async fn start(connector: Connector, connect_timeout: Duration, namespace: &Namespace) -> Self {
        let link = Link::new(connector, connect_timeout, TIMEOUT);
        if !link.connect().await {
            // Starts the attempts in the background.
            let _ = link.transport();
        }
        Self { link, environment: Environment::default(), prefix: prefix(namespace), purpose: Purpose::Connection }
    }

    /// Sets the clock, the receiver of notices, and the namespace if the environment has one, of the stores that are created
    /// with this handle or with later clones of it.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.environment = environment.clone();
        if let Some(namespace) = environment.namespace() {
            self.prefix = prefix(namespace);
        }
        self
    }

    /// Sets the time limit of a command, for all clones: 20 milliseconds by default. In a cluster, it is at most one
    /// second.
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

    /// The reason why Redis cannot be used, if it cannot: a readiness probe reports it.
    ///
    /// It is that of the connection while it is down. Otherwise, it is that of a command that the server has refused
    /// within the last ten seconds, for example because the user lacks a right.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_warden_redis::{RedisConnection, RedisProblem};
    ///
    /// let connection = RedisConnection::connect(redis::Client::open("redis://127.0.0.1/")?, "billing".parse()?).await;
    /// let status = match connection.problem() {
    ///     None => 200,
    ///     // Ends by itself.
    ///     Some(RedisProblem::Unreachable) => 503,
    ///     Some(problem) => panic!("{problem}"),
    /// };
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn problem(&self) -> Option<RedisProblem> {
        if self.link.is_up() {
            self.link.reports.recent()
        } else {
            Some(self.link.reports.last(Purpose::Connection).unwrap_or(RedisProblem::Unreachable))
        }
    }

    /// The same connection, whose problems are reported as those of this purpose.
    pub(crate) fn used_for(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// Reports that a subscription could not be made.
    pub(crate) fn failed(&self, purpose: Purpose, problem: RedisProblem) {
        self.link.reports.failed(purpose, problem);
    }

    /// Reports that a subscription works.
    pub(crate) fn worked(&self, purpose: Purpose) {
        self.link.reports.worked(purpose);
    }

    /// Returns `true` if commands can be sent; otherwise, ensures that the connection is being restored.
    pub(crate) fn is_ready(&self) -> bool {
        self.link.transport().is_ok()
    }

    /// Sends a command, unless the connection is down, and awaits the reply within the time limit.
    pub(crate) async fn run(&self, command: Cmd) -> Result<Value, CommandError> {
        self.link.run(self.purpose, command).await
    }

    /// Runs a script by its digest; if the server does not have it, with its source.
    pub(crate) async fn run_script(
        &self,
        script: &ScriptSource,
        keys: &[impl ToRedisArgs],
        arguments: impl ToRedisArgs + Copy,
    ) -> Result<Value, CommandError> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        match self.run(command("EVALSHA", script.digest.get_hash())).await {
            Err(CommandError::NoScript) => self.run(command("EVAL", script.source)).await,
            reply => reply,
        }
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.environment.clock()
    }

    /// The environment of the stores that are created with this handle.
    pub(crate) const fn settings(&self) -> &Environment {
        &self.environment
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

/// A script, and its digest.
pub(crate) struct ScriptSource {
    source: &'static str,
    digest: Script,
}

impl ScriptSource {
    pub(crate) fn new(source: &'static str) -> Self {
        Self { source, digest: Script::new(source) }
    }
}
