use std::{sync::Arc, time::Duration};

use super::{alert::Detection, detector::Detector};
use crate::{
    Environment, Eventual,
    authorize::Policy,
    caller::Principal,
    reason::Reason,
    refusal::Rejection,
    request::Head,
    time::{Clock, SystemClock},
};

/// A policy that refuses callers under an alert with 429, of the problem type `abnormal-usage-detected`.
///
/// By default, it refuses callers with an [unusual rate](Detection::UnusualRate), and keys in
/// [many networks](Detection::KeyInManyNetworks). Failures are not among them, because others than the owner of a
/// credential can cause them, and neither are alerts about peers.
///
/// A caller is refused until its alert is cleared. Its refused requests count for its rate, so it has to slow down.
///
/// # Examples
///
/// See [`Detector`].
#[derive(Clone, Debug)]
pub struct AbuseGuard {
    clock: Arc<dyn Clock>,
    detections: Vec<Detection>,
    detector: Detector,
}

impl AbuseGuard {
    /// Refuses callers for which this detector has raised an alert.
    #[must_use]
    pub fn new(detector: &Detector) -> Self {
        let detections = vec![Detection::KeyInManyNetworks, Detection::UnusualRate];
        Self { clock: Arc::new(SystemClock), detections, detector: detector.clone() }
    }

    /// Sets the detections: those of callers and of keys; others have no effect, nor has a first use.
    #[must_use]
    pub fn detections(mut self, detections: impl IntoIterator<Item = Detection>) -> Self {
        self.detections = detections.into_iter().collect();
        self
    }

    /// Sets the clock: that of the system by default.
    #[must_use]
    pub fn environment(mut self, environment: &Environment) -> Self {
        self.clock = environment.clock();
        self
    }
}

impl Policy for AbuseGuard {
    fn decide(&self, principal: &Principal, _: &Head<'_>) -> Eventual<Result<(), Rejection>> {
        let Some(until) = self.detector.alerted_until(principal, &self.detections) else {
            return Eventual::Now(Ok(()));
        };
        let wait = until.as_millis().saturating_sub(self.clock.timestamp().as_millis());
        if wait == 0 {
            return Eventual::Now(Ok(()));
        }
        Eventual::Now(Err(Rejection::abnormal_usage(Reason::ABNORMAL_USAGE, Duration::from_millis(wait))))
    }
}
