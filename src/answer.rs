//! Answers of dependencies, which may hang instead of failing.

use std::time::Duration;

use tokio::{runtime::Handle, time::timeout};

use crate::error::Unavailable;

/// The time-out of one answer. It is longer than the defaults of what has a time-out of its own, such as a key set from a URL:
/// these state the cause.
const TIME_OUT: Duration = Duration::from_secs(10);

/// Awaits the answer of a dependency, which is unavailable if there is none within the time-out.
pub(crate) async fn within_time_out<T>(
    dependency: &'static str,
    answer: impl Future<Output = Result<T, Unavailable>>,
) -> Result<T, Unavailable> {
    // Without a runtime, nothing measures the time.
    if Handle::try_current().is_err() {
        return answer.await;
    }
    let answer = timeout(TIME_OUT, answer).await;
    answer.unwrap_or_else(|_| Err(Unavailable::new(dependency).because("no answer within the time-out")))
}
