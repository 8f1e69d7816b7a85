use std::sync::Arc;

use super::{alert::Detection, detector::Detector};
use crate::{
    Environment, Eventual,
    authorize::Policy,
    caller::Principal,
    error::{ConfigError, ConfigErrorKind},
    reason::Reason,
    refusal::Rejection,
    request::Head,
    time::{Clock, SystemClock},
};

/// The detections that only a caller can cause whose credential was accepted.
const ENFORCEABLE: [Detection; 3] = [Detection::KeyInManyNetworks, Detection::RefusedScopes, Detection::UnusualRate];

/// The detections of failures, which others can cause in the name of a caller.
const FAILURES: [Detection; 2] = [Detection::FailuresOfCaller, Detection::FailuresOfKey];

/// A policy that refuses callers under an alert with 429, of the problem type `abnormal-usage-detected`.
///
/// By default, it refuses callers with an [unusual rate](Detection::UnusualRate), and keys in
/// [many networks](Detection::KeyInManyNetworks), unless the detector does [not detect](super::DetectorBuilder::without)
/// this. A caller that [acts for](Principal::acting_for) a subject is also refused if the subject, or its key, is under an
/// alert.
///
/// A caller is refused until its alert is cleared. Its refused requests count for its rate, but not for its baseline, so
/// it has to slow down.
///
/// # Deployment caveat
///
/// Its clock and that of the [`AuditLog`](crate::audit::AuditLog) must be the same: set the same
/// [`environment`](Self::environment) on both. An alert that is further in the future than its time of calm and a minute
/// refuses nobody, because the clock was set back since. Without the addresses of clients, keys are in the networks of the
/// proxies: see the caveat of [`Detector`].
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

    /// Sets the detections: [`KeyInManyNetworks`](Detection::KeyInManyNetworks),
    /// [`RefusedScopes`](Detection::RefusedScopes), [`UnusualRate`](Detection::UnusualRate), or some of them.
    ///
    /// # Errors
    ///
    /// If it is another detection, or one that the detector does not detect. Alerts about peers and first uses refuse
    /// nobody; for failures, see [`danger_refuse_after_failures`](Self::danger_refuse_after_failures).
    pub fn detections(mut self, detections: impl IntoIterator<Item = Detection>) -> Result<Self, ConfigError> {
        let refused = |message, detection: Detection| {
            Err(ConfigError::new(ConfigErrorKind::Detection, message).value(detection.as_str()))
        };
        self.detections.retain(|detection| FAILURES.contains(detection));
        for detection in detections {
            if !ENFORCEABLE.contains(&detection) {
                return refused("a guard refuses key_in_many_networks, refused_scopes and unusual_rate", detection);
            }
            if !self.detector.detects(detection) {
                return refused("a guard refuses what its detector detects", detection);
            }
            self.detections.push(detection);
        }
        Ok(self)
    }

    /// Also refuses callers and keys under an alert of [failures](Detection::FailuresOfCaller), as far as the detector
    /// detects them.
    ///
    /// **Anyone who has an old credential of a caller can lock that caller out**: a token that is revoked or bound to
    /// another certificate is refused, but names its owner. The owner is refused then, also with a new credential.
    #[must_use]
    pub fn danger_refuse_after_failures(mut self) -> Self {
        self.detections.extend(FAILURES);
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
        let wait = self.detector.wait(principal, &self.detections, self.clock.timestamp());
        Eventual::Now(match wait {
            Some(wait) => Err(Rejection::abnormal_usage(Reason::ABNORMAL_USAGE, wait)),
            None => Ok(()),
        })
    }
}
