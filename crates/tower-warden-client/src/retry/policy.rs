use std::{fmt, mem, sync::Arc, time::Duration};

use http::{HeaderName, Request, Response};
use tokio::time::Sleep;
use tower::retry::{Policy, budget::Budget};
use tower_warden::Clock;

use super::{
    ClassifyError, Retry, RetryCause, RetryEnd, RetrySummary,
    backoff::{Backoff, Random},
};
use crate::{replay::Replay, retry_after::retry_after, status::status_of};

/// The policy of a [`RetryLayer`](super::RetryLayer), for another service that takes policies of tower.
///
/// The service of the layer also reports requests that could not be sent again.
pub struct RetryPolicy<R, C> {
    pub(super) settings: Arc<Settings<R, C>>,
    /// The retries of the request that this clone belongs to.
    retries: Vec<Retry>,
}

/// The state that the clones of a layer and the requests share.
pub(super) struct Settings<R, C> {
    pub(super) limits: Limits,
    pub(super) timeout_waits: Arc<[Duration]>,
    pub(super) budget: Arc<dyn Budget + Send + Sync>,
    pub(super) random: Arc<Random>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) replay: Arc<R>,
    pub(super) errors: Arc<C>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_retries: u32,
    pub(super) backoff: Backoff,
    pub(super) max_retry_after: Duration,
    pub(super) max_total_wait: Duration,
}

impl<R, C> RetryPolicy<R, C> {
    pub(super) const fn new(settings: Arc<Settings<R, C>>) -> Self {
        Self { settings, retries: Vec::new() }
    }

    /// Decides about another attempt: how long to wait for it, or why there is none.
    fn decide(&self, cause: RetryCause, asked: Option<Duration>) -> Result<Duration, RetryEnd> {
        let (settings, limits) = (&*self.settings, &self.settings.limits);
        let count = u32::try_from(self.retries.len()).unwrap_or(u32::MAX);
        if count >= limits.max_retries {
            return Err(RetryEnd::AttemptsExhausted);
        }
        let wait = match (asked, &*settings.timeout_waits) {
            (Some(asked), _) => asked.min(limits.max_retry_after),
            (None, waits @ [.., last]) if cause.is_timeout() => {
                let timeouts = self.retries.iter().filter(|retry| retry.cause.is_timeout()).count();
                *waits.get(timeouts).unwrap_or(last)
            }
            _ => limits.backoff.wait(count, &settings.random),
        };
        let waited: Duration = self.retries.iter().map(|retry| retry.wait).sum();
        if waited.saturating_add(wait) > limits.max_total_wait {
            return Err(RetryEnd::WaitTooLong);
        }
        // Last, so that a request that is not sent again for another reason does not use it up.
        if !settings.budget.withdraw() {
            return Err(RetryEnd::BudgetExhausted);
        }
        Ok(wait)
    }
}

/// The waits are those of tokio: a request that is dropped meanwhile is not sent again.
impl<ReqBody, ResBody, E, R, C> Policy<Request<ReqBody>, Response<ResBody>, E> for RetryPolicy<R, C>
where
    R: Replay<ReqBody>,
    C: ClassifyError<E>,
{
    type Future = Sleep;

    fn retry(&mut self, _: &mut Request<ReqBody>, result: &mut Result<Response<ResBody>, E>) -> Option<Sleep> {
        let (cause, asked) = match result {
            Ok(response) => {
                let cause = RetryCause::of_status(status_of(response.status(), response.headers()));
                let asks = cause.is_some_and(RetryCause::has_retry_after);
                (cause, asks.then(|| retry_after(response.headers(), || self.settings.clock.now())).flatten())
            }
            Err(error) => (C::classify(&self.settings.errors, error).map(RetryCause::Connection), None),
        };
        let decision = match cause {
            Some(cause) => self.decide(cause, asked).map(|wait| Retry { cause, wait }),
            None => Err(RetryEnd::Final),
        };
        match (decision, result) {
            (Ok(retry), _) => {
                tracing::debug!(cause = ?retry.cause, wait = ?retry.wait, "a request is sent again");
                self.retries.push(retry);
                Some(tokio::time::sleep(retry.wait))
            }
            (Err(end), Ok(response)) => {
                if end == RetryEnd::Final {
                    self.settings.budget.deposit();
                }
                let retries = mem::take(&mut self.retries);
                response.extensions_mut().insert(RetrySummary { retries, end });
                None
            }
            (Err(_), Err(_)) => None,
        }
    }

    fn clone_request(&mut self, request: &Request<ReqBody>) -> Option<Request<ReqBody>> {
        if !is_idempotent(request) {
            return None;
        }
        let mut copy = Request::new(R::replay(&self.settings.replay, request.body())?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }
}

/// Returns whether a second execution has the effect of one, by the method or by a key that the server compares.
pub(super) fn is_idempotent<B>(request: &Request<B>) -> bool {
    let has_key = || request.headers().get(IDEMPOTENCY_KEY).is_some_and(|key| !key.is_empty());
    request.method().is_idempotent() || has_key()
}

impl<R, C> Clone for RetryPolicy<R, C> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings), retries: self.retries.clone() }
    }
}

/// Copies the shared state for setters of a layer that has clones.
impl<R, C> Clone for Settings<R, C> {
    fn clone(&self) -> Self {
        Self {
            limits: self.limits,
            timeout_waits: Arc::clone(&self.timeout_waits),
            budget: Arc::clone(&self.budget),
            random: Arc::clone(&self.random),
            clock: Arc::clone(&self.clock),
            replay: Arc::clone(&self.replay),
            errors: Arc::clone(&self.errors),
        }
    }
}

impl<R, C> fmt::Debug for RetryPolicy<R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy").field("limits", &self.settings.limits).finish_non_exhaustive()
    }
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
