//! Repeated attempts, for everything that reconnects.

use std::{iter, ops::ControlFlow, time::Duration};

use tokio::time::sleep;

/// Runs `attempt` until it breaks, with a delay after each failure; `None` if there are no delays left.
pub(crate) async fn retry<T, F>(delays: impl IntoIterator<Item = Duration>, mut attempt: impl FnMut() -> F) -> Option<T>
where
    F: Future<Output = ControlFlow<T>>,
{
    for delay in delays {
        if let ControlFlow::Break(value) = attempt().await {
            return Some(value);
        }
        sleep(delay).await;
    }
    None
}

/// Delays without end that double from `first` up to `longest`.
pub(crate) fn backoff(first: Duration, longest: Duration) -> impl Iterator<Item = Duration> + Send {
    iter::successors(Some(first), move |delay| Some(longest.min(*delay * 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let delays: Vec<_> = backoff(Duration::from_millis(300), Duration::from_secs(1)).take(4).collect();
        assert_eq!(delays.iter().map(Duration::as_millis).collect::<Vec<_>>(), [300, 600, 1_000, 1_000]);
    }
}
