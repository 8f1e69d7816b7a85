use std::fmt;

use tokio::sync::watch;

/// Notifications of a [`SecretSource`](super::SecretSource) that at least one of its secrets has changed.
///
/// A notification does not contain secrets. Changes in quick succession may be one notification.
pub struct Changes(Option<watch::Receiver<u64>>);

impl Changes {
    /// The notifications of a source whose secrets never change.
    #[must_use]
    pub const fn never() -> Self {
        Self(None)
    }

    /// Waits for the next change.
    ///
    /// Returns `None` if there will be none, because the source was dropped or its secrets never change; otherwise the number
    /// of changes so far. Nothing is lost if the future is dropped.
    pub async fn changed(&mut self) -> Option<u64> {
        let receiver = self.0.as_mut()?;
        receiver.changed().await.ok()?;
        Some(*receiver.borrow_and_update())
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

/// The sender of [`Changes`].
#[derive(Debug)]
pub struct ChangeSender(watch::Sender<u64>);

impl ChangeSender {
    /// Notifies all receivers.
    pub fn send(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Returns the notifications from now on.
    #[must_use]
    pub fn subscribe(&self) -> Changes {
        Changes(Some(self.0.subscribe()))
    }
}

impl Default for ChangeSender {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}
