use std::{fmt, sync::Arc, time::Duration};

use tower::retry::budget::{Budget, TpsBudget};
use tower_layer::Layer;
use tower_warden::Environment;

use super::{
    BySource, RetryPolicy, RetryRequests,
    backoff::{Backoff, Random},
    policy::{Limits, Settings},
};
use crate::replay::ReplayCloned;

/// Sends requests again that failed temporarily. See the [module docs](super).
pub struct RetryLayer<R = ReplayCloned, C = BySource>(Arc<Settings<R, C>>);

impl RetryLayer {
    /// Creates a layer for bodies that can be cloned, and for errors of the type [`Error`](std::error::Error).
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Settings {
            limits: Limits {
                max_retries: 5,
                backoff: Backoff { base: Duration::from_secs(1), max: Duration::from_secs(60) },
                max_retry_after: Duration::from_secs(60),
                max_total_wait: Duration::from_secs(120),
            },
            timeout_waits: DEFAULT_TIMEOUT_WAITS.into(),
            budget: Arc::new(TpsBudget::default()),
            random: Arc::default(),
            clock: Environment::default().clock(),
            replay: Arc::new(ReplayCloned),
            errors: Arc::new(BySource),
        }))
    }
}

impl<R, C> RetryLayer<R, C> {
    /// Sets how many times a request is sent again: five by default.
    #[must_use]
    pub fn max_retries(self, count: u32) -> Self {
        self.with(|settings| settings.limits.max_retries = count)
    }

    /// Sets the waits after failures without `Retry-After`: random ones from zero to `base`, which doubles with each retry up
    /// to `max`. One second and one minute by default.
    #[must_use]
    pub fn backoff(self, base: Duration, max: Duration) -> Self {
        self.with(|settings| settings.limits.backoff = Backoff { base, max })
    }

    /// Sets the waits after time-outs, that is 504 and [`Timeout`](super::ConnectionFailure::Timeout), of which the last one is
    /// repeated: 5, 10 and 30 seconds by default. Without any, they are those of the [backoff](Self::backoff).
    #[must_use]
    pub fn timeout_waits(self, waits: impl IntoIterator<Item = Duration>) -> Self {
        self.with(|settings| settings.timeout_waits = waits.into_iter().collect())
    }

    /// Sets the maximum of a `Retry-After`: one minute by default. After it, the request is sent again, whatever the server
    /// asked for.
    #[must_use]
    pub fn max_retry_after(self, wait: Duration) -> Self {
        self.with(|settings| settings.limits.max_retry_after = wait)
    }

    /// Sets the maximum of all waits of a request together: two minutes by default. A request whose next wait would exceed it
    /// is not sent again, and the response is returned at once.
    #[must_use]
    pub fn max_total_wait(self, wait: Duration) -> Self {
        self.with(|settings| settings.limits.max_total_wait = wait)
    }

    /// Sets the budget that all requests of the layer share, so that an outage does not multiply them: by default the
    /// `TpsBudget` of tower for ten seconds, in which a fifth of the requests are sent again, and at least ten a second.
    #[must_use]
    pub fn budget(self, budget: impl Budget + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.budget = Arc::new(budget))
    }

    /// Sets the seed of the random waits, for tests: a random one by default.
    #[must_use]
    pub fn jitter_seed(self, seed: u64) -> Self {
        self.with(|settings| settings.random = Arc::new(Random::seeded(seed)))
    }

    /// Takes the clock of an environment, with which a date in `Retry-After` is compared if the response has no `Date`: the
    /// system clock by default. The waits themselves are timers of tokio.
    #[must_use]
    pub fn environment(self, environment: &Environment) -> Self {
        self.with(|settings| settings.clock = environment.clock())
    }

    /// Sets how bodies are [replayed](crate::replay): by a clone by default.
    #[must_use]
    pub fn replay<T>(self, replay: T) -> RetryLayer<T, C> {
        let Settings { limits, timeout_waits, budget, random, clock, replay: _, errors } = Arc::unwrap_or_clone(self.0);
        let replay = Arc::new(replay);
        RetryLayer(Arc::new(Settings { limits, timeout_waits, budget, random, clock, replay, errors }))
    }

    /// Sets how errors of the inner service are [classified](super::ClassifyError): by their sources by default.
    #[must_use]
    pub fn classify_errors<T>(self, errors: T) -> RetryLayer<R, T> {
        let Settings { limits, timeout_waits, budget, random, clock, replay, errors: _ } = Arc::unwrap_or_clone(self.0);
        let errors = Arc::new(errors);
        RetryLayer(Arc::new(Settings { limits, timeout_waits, budget, random, clock, replay, errors }))
    }

    /// Returns the policy of the layer, with the same budget.
    #[must_use]
    pub fn policy(&self) -> RetryPolicy<R, C> {
        RetryPolicy::new(Arc::clone(&self.0))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings<R, C>)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl<S, R, C> Layer<S> for RetryLayer<R, C> {
    type Service = RetryRequests<S, R, C>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryRequests::new(self.policy(), inner)
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<R, C> Clone for RetryLayer<R, C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R, C> fmt::Debug for RetryLayer<R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

const DEFAULT_TIMEOUT_WAITS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(30)];
