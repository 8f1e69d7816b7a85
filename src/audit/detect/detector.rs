use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::{
    alert::{Alert, Detection},
    builder::DetectorBuilder,
    settings::Settings,
    watch::Watch,
};
use crate::{
    Eventual, Unavailable,
    audit::{
        event::{Event, EventKind},
        sink::{AuditSink, Place},
    },
    caller::Principal,
    log,
    time::Timestamp,
};

/// A sink that passes events on to another one, and adds an [`Alert`] where they look like abuse.
///
/// | detection | raised at | within |
/// |---|---|---|
/// | [`FailuresOfCaller`](Detection::FailuresOfCaller), [`FailuresOfKey`](Detection::FailuresOfKey) | 10 failures | 5 minutes |
/// | [`FailuresOfPeer`](Detection::FailuresOfPeer) | 30 failures | 5 minutes |
/// | [`KeyInManyNetworks`](Detection::KeyInManyNetworks) | 5 networks | 1 hour |
/// | [`ManyKeysFromPeer`](Detection::ManyKeysFromPeer) | 20 keys | 1 hour |
/// | [`RefusedScopes`](Detection::RefusedScopes) | 10 refusals | 5 minutes |
/// | [`UnusualRate`](Detection::UnusualRate) | 100 calls, and 20 times the baseline | 10 seconds |
/// | [`FirstUseOfScope`](Detection::FirstUseOfScope), [`FirstUseOfTool`](Detection::FirstUseOfTool) | the first | |
///
/// An alert is raised once. It is cleared when less than half of its threshold has been counted for 15 minutes, by the
/// next event after that. Nothing is unusual for a caller in the first day: its baseline is the average of its admitted
/// calls, weighted towards the last day.
///
/// It counts on this node, in memory of a [fixed size](DetectorBuilder::capacity), and by the times of the events. A
/// clone is the same detector. To act on alerts, there are [`on_alert`](DetectorBuilder::on_alert) and
/// [`AbuseGuard`](super::AbuseGuard).
///
/// A request is counted when it has ended, by the time of its arrival; one that arrived before the window of those that
/// were counted is not counted. If the clock is set back by more than a window, the counts begin again; by more than a
/// minute, what was learned about a caller is forgotten when it calls next.
///
/// Of a caller that [acts for](Principal::acting_for) a subject, the subject and its token are watched as well, but refused
/// scopes, and the keys of an address, are those of the caller. A token without an id (`jti`) is watched as that of its
/// subject only.
///
/// Place it around sinks that take all events: of a part, as of [`Sampled`](crate::audit::Sampled), it would see a
/// part.
///
/// # Deployment caveat
///
/// Behind a proxy or a CDN without a [`ClientAddressLayer`](crate::layer::ClientAddressLayer), all addresses are those of the
/// proxies. Then each key is soon in many networks, those of the edges of the CDN, and one client that fails is an alert about
/// an edge: configure the trusted proxies before you act on alerts.
///
/// # Examples
///
/// ```
/// use tower_warden::{
///     audit::{AbuseGuard, AlertState, AuditChannel, AuditLog, Detector},
///     layer::{AuditLayer, AuthorizeLayer},
/// };
///
/// let (sink, events) = AuditChannel::new(10_000);
/// let detector = Detector::builder(sink)
///     .on_alert(|alert| {
///         if alert.state == AlertState::Raised {
///             println!("{}: {:?}", alert.detection.as_str(), alert.subject);
///         }
///     })
///     .build();
/// let audit = AuditLayer::new(AuditLog::new(detector.clone()));
/// let authorize = AuthorizeLayer::new(AbuseGuard::new(&detector));
/// ```
#[derive(Clone)]
pub struct Detector(Arc<Inner>);

pub(super) type Hook = Arc<dyn Fn(&Alert) + Send + Sync>;

struct Inner {
    hook: Option<Hook>,
    sink: Arc<dyn AuditSink>,
    watch: Watch,
}

impl Detector {
    /// Passes events on to this sink, with the default settings.
    #[must_use]
    pub fn new(sink: impl AuditSink) -> Self {
        Self::builder(sink).build()
    }

    /// Passes events on to this sink, with other settings.
    pub fn builder(sink: impl AuditSink) -> DetectorBuilder {
        DetectorBuilder::new(sink)
    }

    pub(super) fn from_parts(sink: Arc<dyn AuditSink>, settings: Settings, hook: Option<Hook>) -> Self {
        Self(Arc::new(Inner { hook, sink, watch: Watch::new(settings) }))
    }

    /// The alerts that are raised and not cleared, at most 1 024 of each detection.
    #[must_use]
    pub fn alerts(&self) -> Vec<Alert> {
        self.0.watch.active.all()
    }

    /// The number of times that an alert was due and dropped, because 1 024 of its detection were raised.
    #[must_use]
    pub fn dropped_alerts(&self) -> u64 {
        self.0.watch.active.dropped()
    }

    /// Returns whether this is detected.
    pub(super) fn detects(&self, detection: Detection) -> bool {
        self.0.watch.settings.threshold(detection).is_some()
    }

    /// The time until a caller is under no alert of one of these detections.
    pub(super) fn wait(&self, caller: &Principal, detections: &[Detection], now: Timestamp) -> Option<Duration> {
        self.0.watch.wait(caller, detections, now.as_millis()).map(Duration::from_millis)
    }
}

impl AuditSink for Detector {
    fn record(&self, event: Event, place: Place) {
        let Inner { hook, sink, watch } = &*self.0;
        let alerts = match &event.kind {
            EventKind::Request(request) => watch.see(event.time, request),
            EventKind::Alert(_) | EventKind::Lost(_) | EventKind::Notice(_) => Vec::new(),
        };
        // First: it is called also if the sink panics.
        for alert in &alerts {
            if let Some(hook) = hook
                && catch_unwind(AssertUnwindSafe(|| hook(alert))).is_err()
            {
                log::error!(detection = %alert.detection.as_str(), "the hook of an alert panicked");
            }
        }
        let time = event.time;
        sink.record(event, place);
        for alert in alerts {
            sink.record(Event::new(time, EventKind::Alert(alert)), Place::default());
        }
    }

    fn reserve(&self) -> Eventual<Result<Place, Unavailable>> {
        self.0.sink.reserve()
    }
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detector").field("settings", &self.0.watch.settings).finish_non_exhaustive()
    }
}
