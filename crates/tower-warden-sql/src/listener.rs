//! Hears of what other nodes changed.

use std::{sync::Arc, time::Duration};

use sqlx::{
    Acquire as _, Connection as _, Error,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::super::{
    record::KeyId,
    watch::{KeyChange, Watchers},
};
use crate::log;

/// The channel of the triggers.
const CHANNEL: &str = "tower_warden_keys";

/// After how long without a word the connection is tried.
const SILENCE: Duration = Duration::from_secs(10);

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// How long to wait between attempts to connect, at first and at last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Tells watchers what the database tells, until it is dropped.
pub(super) struct Listener(AbortHandle);

impl Listener {
    /// Listens from the return of this on.
    pub(super) async fn start(options: &PgConnectOptions, watchers: Arc<Watchers>) -> Result<Self, Error> {
        let options = options.clone().application_name("tower-warden listener");
        let line = open(&options).await?;
        Ok(Self(tokio::spawn(listen(options, line, watchers)).abort_handle()))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn listen(options: PgConnectOptions, mut line: PgListener, watchers: Arc<Watchers>) {
    loop {
        let error = hear(&mut line, &watchers).await;
        log::warning!(error = %error, "changes of keys are not heard of until the database answers again");
        drop(line);
        watchers.notify(&KeyChange::Missed);
        line = reopen(&options).await;
        log::debug!("changes of keys are heard of again");
        // Again, because what was read since the first time may have been changed since.
        watchers.notify(&KeyChange::Missed);
    }
}

/// Passes on what it hears, until the connection is lost.
async fn hear(line: &mut PgListener, watchers: &Watchers) -> Error {
    loop {
        // Safe to give up on: a message that has not come as a whole stays in the connection's buffer.
        match timeout(SILENCE, line.try_recv()).await {
            Ok(Ok(Some(notification))) => watchers.notify(&change(notification.payload())),
            Ok(Ok(None)) => return Error::PoolClosed,
            Ok(Err(error)) => return error,
            Err(_) => {
                if let Err(error) = ping(line).await {
                    return error;
                }
            }
        }
    }
}

async fn ping(line: &mut PgListener) -> Result<(), Error> {
    let answer = async { line.acquire().await?.ping().await };
    timeout(ANSWER, answer).await.unwrap_or(Err(Error::PoolTimedOut))
}

async fn reopen(options: &PgConnectOptions) -> PgListener {
    let (mut wait, longest) = BACKOFF;
    loop {
        match open(options).await {
            Ok(line) => return line,
            Err(error) => log::debug!(error = %error, "the database does not answer yet"),
        }
        sleep(wait).await;
        wait = longest.min(wait * 2);
    }
}

/// Opens a connection of its own, so that whoever looks keys up has the whole pool.
async fn open(options: &PgConnectOptions) -> Result<PgListener, Error> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(ANSWER).idle_timeout(None).max_lifetime(None);
    let pool = pool.connect_lazy_with(options.clone());
    let listening = async {
        let mut line = PgListener::connect_with(&pool).await?;
        // Not behind our back: the watchers must hear of a loss at once.
        line.eager_reconnect(false);
        line.listen(CHANNEL).await?;
        Ok(line)
    };
    timeout(ANSWER * 2, listening).await.unwrap_or(Err(Error::PoolTimedOut))
}

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
    fn what_cannot_be_read_may_be_anything() {
        let id = KeyId::parse("key_1").map(KeyChange::Changed).ok();
        assert_eq!(Some(change("key_1")), id);
        assert_eq!(change(""), KeyChange::Added);
        assert_eq!(change("*"), KeyChange::Missed);
        assert_eq!(change(&"x".repeat(65)), KeyChange::Missed);
    }
}
