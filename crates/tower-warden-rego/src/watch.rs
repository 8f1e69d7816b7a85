//! The task that reloads changed files.

use std::{sync::Weak, time::Duration};

use crate::{
    error::ErrorChain,
    policy::{Inner, ReloadStatus},
};

/// Reloads the files at an interval until the policy is dropped.
pub(crate) async fn reload_periodically(policy: Weak<Inner>, interval: Duration) {
    let mut logged = None;
    loop {
        tokio::time::sleep(interval).await;
        let Some(policy) = policy.upgrade() else { return };
        match tokio::task::spawn_blocking(move || policy.reload()).await {
            Ok(Ok(status)) => {
                logged = None;
                if status == ReloadStatus::Changed {
                    tracing::info!("the policy has changed; new requests are decided by it");
                }
            }
            Ok(Err(error)) => {
                let error = ErrorChain(&error).to_string();
                if logged.as_ref() != Some(&error) {
                    tracing::error!(%error, "the changed policy cannot be loaded; the previous one stays in use");
                    logged = Some(error);
                }
            }
            Err(error) if error.is_panic() => {
                let panicked = "the reload panicked".to_owned();
                if logged.as_ref() != Some(&panicked) {
                    tracing::error!("the reload of the policy panicked; the previous one stays in use");
                    logged = Some(panicked);
                }
            }
            // The runtime is shutting down.
            Err(_) => return,
        }
    }
}
