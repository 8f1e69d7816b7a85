//! The state of a connection, and its restoration.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::{task::JoinHandle, time::timeout};

use super::transport::{Category, Connector, Transport, needs_reconnect};
use crate::retry::{backoff, retry};

/// The time limit of an attempt to connect.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The first and the longest delay between attempts to connect.
const RECONNECT_DELAYS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The number of consecutive timeouts after which the connection is down.
const MAX_TIMEOUTS: u32 = 3;

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
    /// The time limit of a command, in nanoseconds.
    timeout: AtomicU64,
    state: Mutex<State>,
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
    pub(super) fn new(connector: Connector, timeout: Duration) -> Arc<Self> {
        let link = Self { connector, timeout: AtomicU64::default(), state: Mutex::new(State::Down(None)) };
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
    pub(super) async fn run(self: &Arc<Self>, command: Cmd) -> Result<Value, CommandError> {
        let transport = self.transport()?;
        match timeout(self.timeout(), transport.send(command)).await {
            Ok(Ok(reply)) => {
                self.replied(&transport);
                Ok(reply)
            }
            Ok(Err(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                Err(CommandError::NoScript)
            }
            Ok(Err(error)) if needs_reconnect(&error) => {
                self.failed(&transport, &error);
                Err(CommandError::Unavailable)
            }
            Ok(Err(error)) => {
                tracing::warn!(error = %Category(&error), "Redis refused a command");
                self.timed_out(&transport);
                Err(CommandError::Unavailable)
            }
            Err(_) => {
                self.timed_out(&transport);
                Err(CommandError::Unavailable)
            }
        }
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

    /// Makes a connection, and uses it if it replies in time.
    pub(super) async fn connect(&self) -> bool {
        let transport = match (self.connector)().await {
            Ok(transport) => transport,
            Err(error) => {
                tracing::debug!(error = %Category(&error), "Redis is not available yet");
                return false;
            }
        };
        let reply = timeout(self.timeout(), transport.send(redis::cmd("PING"))).await;
        let is_up = reply.is_ok_and(|reply| reply.is_ok());
        if is_up {
            *self.lock() = State::Up { transport, timeouts: 0 };
        }
        is_up
    }

    fn replied(&self, transport: &Arc<dyn Transport>) {
        if let State::Up { transport: current, timeouts } = &mut *self.lock()
            && Arc::ptr_eq(current, transport)
        {
            *timeouts = 0;
        }
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
            tracing::warn!("Redis does not reply in time; commands fail at once until it does");
        }
    }

    fn failed(self: &Arc<Self>, transport: &Arc<dyn Transport>, error: &RedisError) {
        let mut state = self.lock();
        if matches!(&*state, State::Up { transport: current, .. } if Arc::ptr_eq(current, transport)) {
            *state = State::Down(Some(self.reconnect_in_background()));
            let error = Category(error);
            tracing::warn!(%error, "the connection to Redis is down; commands fail at once until it is up");
        }
    }

    /// Connects in a task that ends when the connection is up or is no longer used.
    fn reconnect_in_background(self: &Arc<Self>) -> JoinHandle<()> {
        let link = Arc::downgrade(self);
        let (first, longest) = RECONNECT_DELAYS;
        let attempt = move || {
            let link = link.upgrade();
            async move {
                let Some(link) = link else { return ControlFlow::Break(()) };
                match timeout(CONNECT_TIMEOUT, link.connect()).await {
                    Ok(true) => {
                        tracing::debug!("the connection to Redis is up");
                        ControlFlow::Break(())
                    }
                    Ok(false) | Err(_) => ControlFlow::Continue(()),
                }
            }
        };
        tokio::spawn(async move {
            retry(backoff(first, longest), attempt).await;
        })
    }

    fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
