//! Notifications of changes by other nodes.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{
    Acquire as _, Connection as _, Error, Executor as _, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
    raw_sql,
};
use tokio::{
    task::AbortHandle,
    time::{sleep, timeout},
};
use tower_warden::api_key::{KeyChange, KeyId, KeyWatchers, MergedChanges};

use crate::error::POOLER_ADVICE;

/// The channel that the triggers notify.
const CHANNEL: &str = "tower_warden_keys";

/// The longest time without a notification before the connection is checked.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// The longest time that the server may take to respond.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The first delay between two attempts to connect; it is doubled up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(50);

const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// The number of times that the server may respond without the notification of [`verify`].
const PROBES: u32 = 20;

/// The time between two of them.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// Forwards notifications of the database to watchers, until it is dropped.
pub(crate) struct Listener(AbortHandle);

impl Listener {
    /// Starts to listen, and verifies that what the pool sends is received; changes are forwarded from the time at which
    /// this returns.
    pub(crate) async fn start(
        options: &PgConnectOptions,
        pool: &PgPool,
        watchers: Arc<KeyWatchers>,
    ) -> Result<Self, Error> {
        let options = options.clone().application_name("tower-warden listener");
        let mut connection = connect(&options).await?;
        verify(&mut connection, pool, POOLER_ADVICE).await?;
        Ok(Self(tokio::spawn(listen(options, connection, watchers)).abort_handle()))
    }
}

/// Verifies that no pooler in transaction mode is between a pool and the server; the error is the advice.
#[cfg(feature = "issuer")]
pub(crate) async fn verify_direct(pool: &PgPool, advice: &'static str) -> Result<(), Error> {
    verify(&mut connect(&pool.connect_options()).await?, pool, advice).await
}

/// Verifies that a notification of the pool arrives: not through a pooler in transaction mode, which gives the connection
/// of the server that listens to other clients.
async fn verify(connection: &mut PgListener, pool: &PgPool, advice: &'static str) -> Result<(), Error> {
    match probe(connection, pool).await {
        Ok(true) => Ok(()),
        // A notification for the listener arrived at a connection that does not listen: the pooler exchanged the two.
        Ok(false) | Err(Error::Protocol(_)) => Err(Error::Configuration(advice.into())),
        Err(error) => Err(error),
    }
}

/// Returns whether a notification of the pool arrives.
async fn probe(connection: &mut PgListener, pool: &PgPool) -> Result<bool, Error> {
    let channel = format!("tower_warden_probe_{:016x}", RandomState::new().hash_one(CHANNEL));
    connection.listen(&channel).await?;
    pool.execute(raw_sql(&format!("NOTIFY {channel}"))).await?;
    for _ in 0..PROBES {
        let received = async {
            loop {
                match connection.try_recv().await? {
                    Some(notification) if notification.channel() == channel => return Ok(()),
                    Some(_) => {}
                    None => return Err(Error::PoolClosed),
                }
            }
        };
        match timeout(PROBE_INTERVAL, received).await {
            Ok(received) => {
                received?;
                connection.unlisten(&channel).await?;
                return Ok(true);
            }
            // The server sends what is pending with its response: only a server that responds counts as a probe.
            Err(_) => ping(connection).await?,
        }
    }
    Ok(false)
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Forwards notifications, and connects again when the connection is lost.
///
/// Invariant: for each record that a watcher has read, either the connection has been listening since the read, or
/// [`KeyChange::Missed`] is still to come. It holds because both the loss and the new connection are reported. The first
/// report covers what was read before the loss. The second one covers what was read during it; it is sent only after the
/// new connection listens, so that no change can fall between the two.
async fn listen(options: PgConnectOptions, mut connection: PgListener, watchers: Arc<KeyWatchers>) {
    loop {
        let error = forward(&mut connection, &watchers).await;
        tracing::warn!(error = %error, "changes of keys by other nodes are not reported until the database responds");
        drop(connection);
        watchers.notify(&KeyChange::Missed);
        connection = reconnect(&options).await;
        tracing::debug!("changes of keys by other nodes are reported again");
        watchers.notify(&KeyChange::Missed);
    }
}

/// Forwards notifications until the connection is lost.
///
/// Any role can notify the channel: repeated reports that invalidate more than one key are merged.
async fn forward(connection: &mut PgListener, watchers: &KeyWatchers) -> Error {
    let mut merged = MergedChanges::default();
    loop {
        while let Some(change) = merged.take_due(Instant::now()) {
            watchers.notify(&change);
        }
        let wait = merged.wait(Instant::now());
        // Cancel-safe: a message that was received in part stays in the buffer of the connection.
        match timeout(wait.unwrap_or(KEEPALIVE_INTERVAL), connection.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                if let Some(change) = merged.receive(change(notification.payload()), Instant::now()) {
                    watchers.notify(&change);
                }
            }
            Ok(Ok(None)) => return Error::PoolClosed,
            Ok(Err(error)) => return error,
            Err(_) if wait.is_some() => {}
            Err(_) => {
                if let Err(error) = ping(connection).await {
                    return error;
                }
            }
        }
    }
}

async fn ping(connection: &mut PgListener) -> Result<(), Error> {
    let response = async { connection.acquire().await?.ping().await };
    timeout(RESPONSE_TIMEOUT, response).await.unwrap_or(Err(Error::PoolTimedOut))
}

async fn reconnect(options: &PgConnectOptions) -> PgListener {
    let mut backoff = MIN_BACKOFF;
    loop {
        match connect(options).await {
            Ok(connection) => return connection,
            Err(error) => tracing::debug!(error = %error, "the database does not respond yet"),
        }
        sleep(backoff).await;
        backoff = MAX_BACKOFF.min(backoff * 2);
    }
}

/// Opens a connection outside the pool of the store, all of whose connections remain available to look-ups.
async fn connect(options: &PgConnectOptions) -> Result<PgListener, Error> {
    let pool =
        PgPoolOptions::new().max_connections(1).acquire_timeout(RESPONSE_TIMEOUT).idle_timeout(None).max_lifetime(None);
    let pool = pool.connect_lazy_with(options.clone());
    let listening = async {
        let mut connection = PgListener::connect_with(&pool).await?;
        // sqlx would connect again by itself: a loss has to be reported to the watchers first.
        connection.eager_reconnect(false);
        connection.listen(CHANNEL).await?;
        Ok(connection)
    };
    timeout(RESPONSE_TIMEOUT * 2, listening).await.unwrap_or(Err(Error::PoolTimedOut))
}

/// The change that a payload reports. An unknown payload may report any change.
fn change(payload: &str) -> KeyChange {
    match payload {
        "" => KeyChange::Added,
        id => KeyId::parse(id).map_or(KeyChange::Missed, KeyChange::Changed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_payload_may_report_any_change() {
        let id = KeyId::parse("key_1").map(KeyChange::Changed).ok();
        assert_eq!(Some(change("key_1")), id);
        assert_eq!(change(""), KeyChange::Added);
        assert_eq!(change("*"), KeyChange::Missed);
        assert_eq!(change(&"x".repeat(65)), KeyChange::Missed);
    }
}
