use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use super::{
    alert::{Alert, Detection},
    detector::{Detector, Hook},
    distinct,
    settings::{Settings, Threshold, millis},
};
use crate::{
    audit::sink::AuditSink,
    error::{ConfigError, ConfigErrorKind},
};

/// The settings of a [`Detector`].
#[must_use]
pub struct DetectorBuilder {
    hook: Option<Hook>,
    settings: Settings,
    sink: Arc<dyn AuditSink>,
}

impl DetectorBuilder {
    pub(super) fn new(sink: impl AuditSink) -> Self {
        Self { hook: None, settings: Settings::default(), sink: Arc::new(sink) }
    }

    /// Sets the threshold of a detection: an alert is raised at this count within this time. The documentation of
    /// [`Detector`] lists the defaults.
    ///
    /// For [`Detection::UnusualRate`], it is the least count that is unusual, whatever is normal for the caller. A first
    /// use is an alert by itself: the count has no effect.
    ///
    /// # Errors
    ///
    /// If the count is above 64 for [`Detection::KeyInManyNetworks`] or [`Detection::ManyKeysFromPeer`]: more networks of a
    /// key, or keys of a peer, are not distinguished.
    pub fn threshold(mut self, detection: Detection, count: NonZeroU32, window: Duration) -> Result<Self, ConfigError> {
        let count = u64::from(count.get());
        let is_distinct = matches!(detection, Detection::KeyInManyNetworks | Detection::ManyKeysFromPeer);
        if is_distinct && count > distinct::MAX as u64 {
            let message = "up to 64 networks of a key, and keys of a peer, are distinguished";
            return Err(ConfigError::new(ConfigErrorKind::Detection, message).value(count));
        }
        let is_first_use = matches!(detection, Detection::FirstUseOfScope | Detection::FirstUseOfTool);
        let threshold = Threshold { count: if is_first_use { 1 } else { count }, window: millis(window) };
        self.settings.set(detection, Some(threshold));
        Ok(self)
    }

    /// Switches a detection off.
    pub fn without(mut self, detection: Detection) -> Self {
        self.settings.set(detection, None);
        self
    }

    /// Sets the learning period of a caller, which begins with its first request: one day by default. Within it, no rate
    /// is unusual and no use is a first one. The baseline is an average over a period of the same length.
    pub fn learning(mut self, learning: Duration) -> Self {
        self.settings.learning = millis(learning);
        self
    }

    /// Sets the multiple of its baseline from which on the rate of a caller is unusual: 20 by default.
    pub fn factor(mut self, factor: NonZeroU32) -> Self {
        self.settings.factor = factor.get().into();
        self
    }

    /// Sets the time after which an alert is cleared, from the last request at which half of its threshold was counted: 15
    /// minutes by default.
    pub fn calm(mut self, calm: Duration) -> Self {
        self.settings.calm = millis(calm);
        self
    }

    /// Sets the number of callers, of keys and of peers that are watched: 65 536 of each by default.
    ///
    /// A caller takes up to 1 300 bytes, a key or a peer up to 2 200, when it is seen first. Of more, those with the
    /// fewest failures within the window are forgotten first.
    pub fn capacity(mut self, capacity: NonZeroUsize) -> Self {
        self.settings.capacity = capacity.get();
        self
    }

    /// Calls a function for each alert that is raised or cleared: once for each.
    ///
    /// It is called where the event is recorded, such as within a request, and before the alert is recorded, so it must not
    /// block. Spawn a task to revoke a key.
    ///
    /// # Deployment caveat
    ///
    /// A hook that revokes keys which are in many networks revokes every key behind a CDN whose clients' addresses are not
    /// resolved: see the caveat of [`Detector`].
    pub fn on_alert(mut self, hook: impl Fn(&Alert) + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// Builds the detector.
    #[must_use]
    pub fn build(self) -> Detector {
        Detector::from_parts(self.sink, self.settings, self.hook)
    }
}

impl fmt::Debug for DetectorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DetectorBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
