//! Redis, or Valkey: a line to it that knows when it is down.
//!
//! ```no_run
//! use tower_warden::{rate_limit::{LimitBy, Quota, RedisRateLimiter}, layer::RateLimitLayer, redis::RedisConnection};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let line = RedisConnection::connect(redis::Client::open("redis://127.0.0.1/")?).await;
//! let limit = RateLimitLayer::new(RedisRateLimiter::new(line), LimitBy::principal(), Quota::per_second(50).burst(100));
//! # Ok(()) }
//! ```

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, aio::ConnectionLike};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::log;

/// How long an answer may take by default.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long a connection may take to be made.
const DIALLING: Duration = Duration::from_secs(1);

/// How long to wait between attempts to connect, at first and at last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// After so many answers in a row that did not come in time, the line is down.
const SILENCES: u32 = 3;

/// A connection to Redis that many share; clones are the same line.
///
/// An answer may take 20 milliseconds. A line that breaks, or is silent three times in a row, is down: from then on
/// nobody waits for it, and it is dialled in the background until it answers in time.
///
/// Needs Redis 5 or Valkey, and a tokio runtime.
#[derive(Clone)]
pub struct RedisConnection(Arc<Inner>);

struct Inner {
    dial: Dial,
    /// In nanoseconds.
    patience: AtomicU64,
    state: Mutex<State>,
}

/// Makes connections.
type Dial = Box<dyn Fn() -> Later<RedisResult<Arc<dyn Wire>>> + Send + Sync>;

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum State {
    /// Being dialled; not yet, or not any more if the runtime has ended.
    Down(Option<JoinHandle<()>>),
    Up {
        wire: Arc<dyn Wire>,
        silences: u32,
    },
}

impl RedisConnection {
    /// Dials a server with the client's own configuration, of TLS too.
    ///
    /// Returns when it is there, and after a second at the latest: a server that is down is no reason not to start.
    pub async fn connect(client: ::redis::Client) -> Self {
        Self::dialling(move || {
            let client = client.clone();
            async move { client.get_multiplexed_async_connection_with_config(&unhurried()).await }
        })
        .await
    }

    /// Dials with a closure: a cluster, or the master that a sentinel names, which is asked anew each time.
    pub async fn dialling<F, C>(dial: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = RedisResult<C>> + Send + 'static,
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        let dial = move || -> Later<_> {
            let connecting = dial();
            Box::pin(async move { Ok(Arc::new(connecting.await?) as Arc<dyn Wire>) })
        };
        let (dial, state) = (Box::new(dial), Mutex::new(State::Down(None)));
        let line = Self(Arc::new(Inner { dial, patience: AtomicU64::default(), state })).patience(PATIENCE);
        if timeout(DIALLING, line.0.redial()).await != Ok(true) {
            // From now on in the background.
            let _ = line.0.wire();
        }
        line
    }

    /// How long an answer may take, for all clones: 20 milliseconds by default.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        let nanoseconds = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        self.0.patience.store(nanoseconds, Ordering::Relaxed);
        self
    }

    /// Whether it answers, as far as is known.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(*self.0.lock(), State::Up { .. })
    }

    /// Whether commands can be sent; dials, if nobody does.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.wire().is_ok()
    }

    /// Sends a command, if the line is up, and waits for the answer no longer than the line's patience.
    pub(crate) async fn run(&self, command: Cmd) -> Result<Value, Failure> {
        let wire = self.0.wire()?;
        match timeout(self.0.patience(), wire.run(command)).await {
            Ok(Ok(answer)) => {
                self.0.answered(&wire);
                Ok(answer)
            }
            Ok(Err(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => Err(Failure::NoScript),
            Ok(Err(error)) if is_gone(&error) => {
                self.0.hang_up(&wire, &error);
                Err(Failure::Down)
            }
            Ok(Err(error)) => {
                log::warning!(error = %Category(&error), "Redis refused a command");
                self.0.silent(&wire);
                Err(Failure::Down)
            }
            Err(_) => {
                self.0.silent(&wire);
                Err(Failure::Down)
            }
        }
    }
}

impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConnection").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    Down,
    NoScript,
}

impl Inner {
    /// What to send commands on.
    fn wire(self: &Arc<Self>) -> Result<Arc<dyn Wire>, Failure> {
        let mut state = self.lock();
        match &mut *state {
            State::Up { wire, .. } => Ok(Arc::clone(wire)),
            State::Down(dialling) => {
                if dialling.as_ref().is_none_or(JoinHandle::is_finished) {
                    *dialling = Some(self.dial_in_background());
                }
                Err(Failure::Down)
            }
        }
    }

    fn answered(&self, wire: &Arc<dyn Wire>) {
        if let State::Up { wire: now, silences } = &mut *self.lock()
            && Arc::ptr_eq(now, wire)
        {
            *silences = 0;
        }
    }

    fn silent(self: &Arc<Self>, wire: &Arc<dyn Wire>) {
        let mut state = self.lock();
        let State::Up { wire: now, silences } = &mut *state else { return };
        if !Arc::ptr_eq(now, wire) {
            return;
        }
        *silences += 1;
        if *silences >= SILENCES {
            *state = State::Down(Some(self.dial_in_background()));
            log::warning!("Redis does not answer in time; nobody waits for it until it does");
        }
    }

    fn hang_up(self: &Arc<Self>, wire: &Arc<dyn Wire>, error: &RedisError) {
        let mut state = self.lock();
        if matches!(&*state, State::Up { wire: now, .. } if Arc::ptr_eq(now, wire)) {
            *state = State::Down(Some(self.dial_in_background()));
            log::warning!(error = %Category(error), "the line to Redis is down; nobody waits for it until it is up");
        }
    }

    fn dial_in_background(self: &Arc<Self>) -> JoinHandle<()> {
        let inner = Arc::downgrade(self);
        tokio::spawn(async move {
            let (mut wait, longest) = BACKOFF;
            while let Some(inner) = Weak::upgrade(&inner) {
                match timeout(DIALLING, inner.redial()).await {
                    Ok(true) => return log::debug!("the line to Redis is up"),
                    Ok(false) | Err(_) => drop(inner),
                }
                sleep(wait).await;
                wait = longest.min(wait * 2);
            }
        })
    }

    /// Makes a connection, and takes it if it answers in time.
    async fn redial(&self) -> bool {
        let wire = match (self.dial)().await {
            Ok(wire) => wire,
            Err(error) => {
                log::debug!(error = %Category(&error), "Redis is not there yet");
                return false;
            }
        };
        let answers = timeout(self.patience(), wire.run(::redis::cmd("PING"))).await.is_ok_and(|answer| answer.is_ok());
        if answers {
            *self.lock() = State::Up { wire, silences: 0 };
        }
        answers
    }

    fn patience(&self) -> Duration {
        Duration::from_nanos(self.patience.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs commands, of whatever connection.
trait Wire: Send + Sync {
    fn run(&self, command: Cmd) -> Later<RedisResult<Value>>;
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Wire for C {
    fn run(&self, command: Cmd) -> Later<RedisResult<Value>> {
        let mut connection = self.clone();
        Box::pin(async move { command.query_async(&mut connection).await })
    }
}

/// Whether another connection might do better: this one is broken, or leads to a server that takes no writes.
fn is_gone(error: &RedisError) -> bool {
    let is_elsewhere = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
        )
    );
    is_elsewhere || error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}

/// What kind of error: its text may hold what was sent, or who we are.
struct Category<'a>(&'a RedisError);

impl fmt::Display for Category<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.category())
    }
}

/// The line's own patience is enough.
fn unhurried() -> ::redis::AsyncConnectionConfig {
    ::redis::AsyncConnectionConfig::new().set_connection_timeout(Some(DIALLING)).set_response_timeout(Some(DIALLING))
}
