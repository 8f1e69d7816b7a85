//! A real server on a free port of the loopback interface: Redis, or what `TOWER_WARDEN_REDIS_SERVER` names, as Valkey.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use tempfile::TempDir;
use tokio::time::sleep;

/// The time after which a test fails.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A server that is stopped when this is dropped.
pub(crate) struct Redis {
    directory: TempDir,
    pub(crate) port: u16,
    arguments: Vec<String>,
    process: Mutex<Option<Child>>,
}

/// The program that is started.
pub(crate) fn program() -> String {
    std::env::var("TOWER_WARDEN_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

impl Redis {
    /// The server of this process, started for the first test that uses it and stopped after the last one.
    pub(crate) async fn shared() -> Arc<Self> {
        static SHARED: tokio::sync::Mutex<Weak<Redis>> = tokio::sync::Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::start().await);
        *shared = Arc::downgrade(&server);
        server
    }

    /// A separate server, which the test can stop and start.
    pub(crate) async fn start() -> Self {
        let server = Self::absent();
        server.launch().await;
        server
    }

    /// A server that is not started yet.
    pub(crate) fn absent() -> Self {
        Self::absent_with(&[])
    }

    /// A server with further options, which is not started yet.
    pub(crate) fn absent_with(options: &[&str]) -> Self {
        let arguments = options.iter().map(|option| (*option).to_owned()).collect();
        Self { directory: tempfile::tempdir().unwrap(), port: free_port(), arguments, process: Mutex::new(None) }
    }

    /// A server with further options.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        let server = Self::absent_with(options);
        server.launch().await;
        server
    }

    /// The value of one of the further options.
    #[cfg(feature = "cluster")]
    pub(crate) fn option(&self, name: &str) -> &str {
        let index = self.arguments.iter().position(|argument| argument == name).unwrap();
        &self.arguments[index + 1]
    }

    /// Runs a command, written as in a terminal, and returns its reply.
    pub(crate) async fn command(&self, line: &str) -> redis::RedisResult<redis::Value> {
        let mut words = line.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        command.arg(words.collect::<Vec<_>>());
        command.query_async(&mut connect(self.port).await?).await
    }

    /// A section of `INFO`, or of another command with such a reply.
    pub(crate) async fn text(&self, line: &str) -> String {
        match self.command(line).await {
            Ok(reply) => redis::from_redis_value(reply).unwrap(),
            Err(_) => String::new(),
        }
    }

    pub(crate) fn client(&self) -> redis::Client {
        redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).unwrap()
    }

    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        connect(self.port).await.unwrap()
    }

    /// Starts the server, always on the same port.
    pub(crate) async fn launch(&self) {
        let deadline = Instant::now() + TEST_TIMEOUT;
        loop {
            let mut command = Command::new(program());
            command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
            command.args(&self.arguments);
            command.arg("--dir").arg(self.directory.path()).stdin(Stdio::null()).stdout(Stdio::null());
            let mut child = command.spawn().expect("redis-server is installed");
            while child.try_wait().unwrap().is_none() {
                // A server that requires a password is ready as well.
                if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                    *self.process() = Some(child);
                    return;
                }
                assert!(Instant::now() < deadline, "Redis did not start");
                sleep(Duration::from_millis(10)).await;
            }
            assert!(Instant::now() < deadline, "Redis did not start");
        }
    }

    /// Stops the server at once.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.process().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Suspends the server: all connections stay open, and nothing is replied.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Continues after a pause.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    /// The number of calls of a command.
    pub(crate) async fn calls(&self, command: &str) -> u64 {
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut self.connection().await).await.unwrap();
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
    }

    fn signal(&self, signal: &str) {
        let process = self.process();
        let id = process.as_ref().expect("the server runs").id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Connects to a server or a sentinel that may be slow: it writes its state to a disk before it replies.
pub(crate) async fn connect(port: u16) -> redis::RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TEST_TIMEOUT))
        .set_response_timeout(Some(TEST_TIMEOUT));
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).unwrap();
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// A port that is free now, was not returned before, and is none that the system gives to clients.
pub(crate) fn free_port() -> u16 {
    static RETURNED: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut returned = RETURNED.lock().unwrap_or_else(PoisonError::into_inner);
    let returned = returned.get_or_insert_default();
    loop {
        let port = 20_000 + u16::try_from(RandomState::new().hash_one(returned.len()) % 12_000).unwrap();
        if returned.insert(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
