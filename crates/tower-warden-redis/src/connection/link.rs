//! The state of a connection, and its restoration.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    problem::RedisProblem,
    report::{Purpose, Reports},
    transport::{Connected, Connector, FindMaster, Transport},
};
use crate::retry::{backoff, retry};

/// The first and the longest delay between attempts to connect.
const RECONNECT_DELAYS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The time after which a restored connection is reported, if it is still up.
const STABLE: Duration = Duration::from_millis(1_100);

/// The number of consecutive timeouts after which the connection is down.
const MAX_TIMEOUTS: u32 = 3;

/// A key that never exists.
const PROBE: &str = "tower-warden:probe";

/// A connection that is restored when it is down.
///
/// Invariants, which hold because every transition is made under the lock of `state`:
///
/// - At most one task restores the connection. It is started together with the transition to `Down`, or if the one that is
///   stored there has finished (its runtime may have been dropped).
/// - The outcome of a command only affects the transport on which it was sent: a late timeout on an old transport does
///   not take down the new one.
pub(super) struct Link {
    connector: Connector,
    /// The time limit of an attempt to connect.
    connect_timeout: Duration,
    /// The time limit of a command, in nanoseconds.
    timeout: AtomicU64,
    state: Mutex<State>,
    pub(super) reports: Reports,
}

enum State {
    /// The task that restores the connection, once it was started.
    Down(Option<JoinHandle<()>>),
    Up {
        transport: Arc<dyn Transport>,
        /// Consecutive commands without a reply in time.
        timeouts: u32,
    },
}

/// The cause of a missing reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CommandError {
    /// The server does not have the script.
    NoScript,
    /// The connection is down, the reply was late, or the server refused the command.
    Unavailable,
}

impl Link {
    pub(super) fn new(connector: Connector, connect_timeout: Duration, timeout: Duration) -> Arc<Self> {
        let state = Mutex::new(State::Down(None));
        let link =
            Self { connector, connect_timeout, timeout: AtomicU64::default(), state, reports: Reports::default() };
        link.set_timeout(timeout);
        Arc::new(link)
    }

    pub(super) fn set_timeout(&self, timeout: Duration) {
        let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        self.timeout.store(nanoseconds, Ordering::Relaxed);
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(*self.lock(), State::Up { .. })
    }

    /// Sends a command and awaits the reply within the time limit.
    pub(super) async fn run(self: &Arc<Self>, purpose: Purpose, command: Cmd) -> Result<Value, CommandError> {
        let transport = self.transport()?;
        let error = match timeout(self.timeout(), transport.send(command)).await {
            Ok(Ok(reply)) => {
                self.replied(&transport);
                self.reports.worked(purpose);
                return Ok(reply);
            }
            Ok(Err(error)) => error,
            Err(_) => {
                self.timed_out(&transport);
                return Err(CommandError::Unavailable);
            }
        };
        if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) {
            self.replied(&transport);
            return Err(CommandError::NoScript);
        }
        let problem = RedisProblem::of(&error);
        if needs_reconnect(&error) {
            self.failed(&transport, problem);
        } else {
            // The connection is of use for other commands.
            self.replied(&transport);
            self.reports.failed(purpose, problem);
        }
        Err(CommandError::Unavailable)
    }

    /// The transport, if the connection is up; otherwise, ensures that a task restores it.
    pub(super) fn transport(self: &Arc<Self>) -> Result<Arc<dyn Transport>, CommandError> {
        match &mut *self.lock() {
            State::Up { transport, .. } => Ok(Arc::clone(transport)),
            State::Down(task) => {
                if task.as_ref().is_none_or(JoinHandle::is_finished) {
                    *task = Some(self.reconnect_in_background());
                }
                Err(CommandError::Unavailable)
            }
        }
    }

    /// Makes a connection within the time limit, and uses it if its server accepts writes.
    pub(super) async fn connect(self: &Arc<Self>) -> bool {
        let attempt = async {
            let connected = (self.connector)().await?;
            probe(&*connected.transport).await?;
            Ok(connected)
        };
        let connected: Option<RedisResult<Connected>> = timeout(self.connect_timeout, attempt).await.ok();
        let problem = match connected {
            Some(Ok(connected)) => {
                let Connected { transport, master } = connected;
                *self.lock() = State::Up { transport: Arc::clone(&transport), timeouts: 0 };
                if let Some((address, find)) = master {
                    self.follow_master(&transport, address, find);
                }
                return true;
            }
            Some(Err(error)) => RedisProblem::of(&error),
            None => RedisProblem::Unreachable,
        };
        self.reports.failed(Purpose::Connection, problem);
        false
    }

    /// Takes the connection down if this transport is still used.
    pub(super) fn failed(self: &Arc<Self>, transport: &Arc<dyn Transport>, problem: RedisProblem) {
        if self.take_down(transport) {
            self.reports.failed(Purpose::Connection, problem);
        }
    }

    fn take_down(self: &Arc<Self>, transport: &Arc<dyn Transport>) -> bool {
        let mut state = self.lock();
        let is_current = matches!(&*state, State::Up { transport: current, .. } if Arc::ptr_eq(current, transport));
        if is_current {
            *state = State::Down(Some(self.reconnect_in_background()));
        }
        is_current
    }

    fn replied(&self, transport: &Arc<dyn Transport>) {
        if let State::Up { transport: current, timeouts } = &mut *self.lock()
            && Arc::ptr_eq(current, transport)
        {
            *timeouts = 0;
        }
        self.reports.worked(Purpose::Connection);
    }

    fn timed_out(self: &Arc<Self>, transport: &Arc<dyn Transport>) {
        let mut state = self.lock();
        let State::Up { transport: current, timeouts } = &mut *state else { return };
        if !Arc::ptr_eq(current, transport) {
            return;
        }
        *timeouts += 1;
        if *timeouts >= MAX_TIMEOUTS {
            *state = State::Down(Some(self.reconnect_in_background()));
            drop(state);
            self.reports.failed(Purpose::Connection, RedisProblem::Unreachable);
        }
    }

    /// Connects in a task that ends when the connection is up or is no longer used.
    fn reconnect_in_background(self: &Arc<Self>) -> JoinHandle<()> {
        let link = Arc::downgrade(self);
        let (first, longest) = RECONNECT_DELAYS;
        let attempt = {
            let link = link.clone();
            move || {
                let link = link.upgrade();
                async move {
                    match link {
                        Some(link) if !link.connect().await => ControlFlow::Continue(()),
                        _ => ControlFlow::Break(()),
                    }
                }
            }
        };
        tokio::spawn(async move {
            retry(backoff(first, longest), attempt).await;
            sleep(STABLE).await;
            if let Some(link) = link.upgrade().filter(|link| link.is_up()) {
                link.reports.worked(Purpose::Connection);
            }
        })
    }

    #[cfg(not(feature = "sentinel"))]
    #[expect(clippy::unused_self, reason = "only sentinels report addresses")]
    fn follow_master(self: &Arc<Self>, _: &Arc<dyn Transport>, _: redis::ConnectionAddr, _: FindMaster) {}

    /// Takes the connection down when the sentinels report another master: an old one may accept writes for a while.
    #[cfg(feature = "sentinel")]
    fn follow_master(
        self: &Arc<Self>,
        transport: &Arc<dyn Transport>,
        address: redis::ConnectionAddr,
        find: FindMaster,
    ) {
        /// The time between two queries of the sentinels.
        const INTERVAL: Duration = Duration::from_secs(1);
        let (link, transport) = (Arc::downgrade(self), Arc::downgrade(transport));
        tokio::spawn(async move {
            loop {
                sleep(INTERVAL).await;
                let (Some(link), Some(transport)) = (link.upgrade(), transport.upgrade()) else { return };
                if let Ok(Ok(reported)) = timeout(link.connect_timeout, find()).await
                    && reported != address
                {
                    link.take_down(&transport);
                    return;
                }
            }
        });
    }

    fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a write without an effect: it fails on a replica. A user without the right to it may have others.
async fn probe(transport: &dyn Transport) -> RedisResult<()> {
    let mut command = redis::cmd("DEL");
    command.arg(PROBE);
    match transport.send(command).await {
        Err(error) if needs_reconnect(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Returns `true` if a new connection may help: this one is broken or of no use, or its server is a replica.
fn needs_reconnect(error: &RedisError) -> bool {
    let is_replica =
        || error.code() == Some("READONLY") || error.detail().is_some_and(|text| text.contains("READONLY"));
    RedisProblem::of(error).needs_reconnect() || error.is_unrecoverable_error() || is_replica()
}
