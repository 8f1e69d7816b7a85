//! The messages of changed keys, and what a node does with those that it receives.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::time::sleep;
use tower_warden::api_key::{KeyChange, KeyId, KeyWatchers, MergedChanges};

use crate::listener::{Listener, Source};

/// The message of [`KeyChange::Missed`].
pub(crate) const MISSED: &str = "*";

/// Notifies the watchers of published changes.
///
/// Invariant: a watcher that has cached a key is notified of a later change, or of `Missed`. While heartbeats are
/// received, changes arrive as messages. After a loss, `Missed` is sent twice: at once, because changes are no longer
/// received, and when heartbeats are received again, because a key that was read in between may have changed since.
pub(crate) struct Changes {
    watchers: Arc<KeyWatchers>,
    is_listening: AtomicBool,
    merged: Arc<Mutex<MergedChanges>>,
}

impl Changes {
    pub(crate) fn new(watchers: Arc<KeyWatchers>) -> Self {
        Self { watchers, is_listening: AtomicBool::default(), merged: Arc::default() }
    }

    /// Returns `true` while heartbeats are received.
    pub(crate) fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Acquire)
    }

    /// Notifies the watchers of a change.
    ///
    /// Any client can publish on the channel: repeated reports that invalidate more than one key are merged. The first one that
    /// waits starts a task, which passes on all that wait.
    ///
    /// Invariant: while a report waits, such a task runs. It ends when none waits, which it checks under the lock.
    fn receive(&self, change: KeyChange) {
        let mut merged = lock(&self.merged);
        let is_scheduled = merged.wait(Instant::now()).is_some();
        let change = merged.receive(change, Instant::now());
        let is_waiting = merged.wait(Instant::now()).is_some();
        drop(merged);
        if let Some(change) = change {
            self.watchers.notify(&change);
        }
        if is_waiting && !is_scheduled {
            tokio::spawn(pass_on(Arc::clone(&self.watchers), Arc::clone(&self.merged)));
        }
    }
}

/// Passes the reports on that wait.
async fn pass_on(watchers: Arc<KeyWatchers>, merged: Arc<Mutex<MergedChanges>>) {
    let wait = || lock(&merged).wait(Instant::now());
    let take_due = || lock(&merged).take_due(Instant::now());
    while let Some(time) = wait() {
        sleep(time).await;
        while let Some(change) = take_due() {
            watchers.notify(&change);
        }
    }
}

fn lock(merged: &Mutex<MergedChanges>) -> MutexGuard<'_, MergedChanges> {
    merged.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listener for Changes {
    async fn read(&self, _: Source) {}

    async fn wants_heartbeat(&self) {
        std::future::pending().await
    }

    fn message(&self, payload: &[u8]) {
        self.receive(decode(payload));
    }

    fn heard(&self, _: Instant) {
        if !self.is_listening() {
            self.watchers.notify(&KeyChange::Missed);
            self.is_listening.store(true, Ordering::Release);
        }
    }

    fn lost(&self) {
        self.is_listening.store(false, Ordering::Release);
        self.watchers.notify(&KeyChange::Missed);
    }
}

/// The message of a change.
pub(crate) fn encode(change: &KeyChange) -> String {
    match change {
        KeyChange::Added => String::new(),
        KeyChange::Changed(id) => id.as_str().to_owned(),
        // Any other change may affect any key.
        _ => MISSED.to_owned(),
    }
}

fn decode(message: &[u8]) -> KeyChange {
    match std::str::from_utf8(message) {
        Ok("") => KeyChange::Added,
        Ok(id) => KeyId::parse(id).map_or(KeyChange::Missed, KeyChange::Changed),
        Err(_) => KeyChange::Missed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_decoded_to_its_change_and_any_other_text_to_missed_changes() {
        let changed = KeyId::parse("key_1").map(KeyChange::Changed).ok();
        for change in [Some(KeyChange::Added), Some(KeyChange::Missed), changed].into_iter().flatten() {
            assert_eq!(decode(encode(&change).as_bytes()), change);
        }
        for odd in [&b"no id"[..], b"\xff", &[b'x'; 65]] {
            assert_eq!(decode(odd), KeyChange::Missed);
        }
    }
}
