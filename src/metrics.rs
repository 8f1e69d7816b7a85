//! Metrics through the crate `metrics`; without the feature, they are discarded.
//!
//! The manual has a table of them, which a test compares with what is emitted. Labels have values from closed sets:
//! words of this crate, fixed texts of the application, and names from the configuration.

use std::time::Instant;

#[cfg(feature = "metrics")]
pub(crate) use self::names::*;

/// The names, for the sink of metrics as well.
#[cfg(feature = "metrics")]
mod names {
    pub(crate) const ALERTS: &str = "warden.alerts";
    pub(crate) const AUDIT_LOST: &str = "warden.audit.lost";
    pub(crate) const AUDIT_QUEUE: &str = "warden.audit.queue";
    pub(crate) const CACHE_LOOKUPS: &str = "warden.cache.lookups";
    pub(crate) const DEPENDENCY_OUTAGES: &str = "warden.dependency.outages";
    pub(crate) const KEY_SET_REFRESHED: &str = "warden.key_set.last_refresh";
    pub(crate) const KEY_SET_REFRESHES: &str = "warden.key_set.refreshes";
    pub(crate) const LIMITER_DECISIONS: &str = "warden.limiter.decisions";
    pub(crate) const NOTICES: &str = "warden.notices";
    /// The name of OpenTelemetry.
    pub(crate) const REQUEST_DURATION: &str = "http.server.request.duration";
    pub(crate) const REQUESTS: &str = "warden.requests";
    pub(crate) const VERIFICATION_DURATION: &str = "warden.verification.duration";
}

/// Makes a metric whose labels have fixed values. Its key is a constant: the macros of `metrics` hash it for each call,
/// unless its name is a literal.
#[cfg(feature = "metrics")]
macro_rules! fixed {
    ($register:ident($name:ident), $($label:literal: $value:literal),+) => {{
        static LABELS: &[::metrics::Label] = &[$(::metrics::Label::from_static_parts($label, $value)),+];
        static KEY: ::metrics::Key = ::metrics::Key::from_static_parts($name, LABELS);
        static METADATA: ::metrics::Metadata<'static> =
            ::metrics::Metadata::new(module_path!(), ::metrics::Level::INFO, Some(module_path!()));
        ::metrics::with_recorder(|recorder| recorder.$register(&KEY, &METADATA))
    }};
}

/// Makes a metric whose labels have one of these values, without an allocation; those of others are allocated.
#[cfg(feature = "metrics")]
macro_rules! labelled {
    ($kind:ident, $register:ident($name:ident), $one:literal: $first:ident [$($known:literal)+], $two:literal: $second:ident $others:tt) => {
        match $first {
            $($known => labelled!(@ $kind, $register($name), $one: $known, $two: $second $first $others),)+
            _ => ::metrics::$kind!($name, $one => $first, $two => $second),
        }
    };
    (@ $kind:ident, $register:ident($name:ident), $one:literal: $known:literal, $two:literal: $second:ident $first:ident [$($other:literal)+]) => {
        match $second {
            $($other => fixed!($register($name), $one: $known, $two: $other),)+
            _ => ::metrics::$kind!($name, $one => $first, $two => $second),
        }
    };
}

/// Counts a look-up in a cache.
pub(crate) fn cache_looked_up(cache: &'static str, result: &'static str) {
    #[cfg(feature = "metrics")]
    labelled!(
        counter, register_counter(CACHE_LOOKUPS),
        "cache": cache ["introspection" "issuer resolver" "key store" "load balancer keys" "tokens"],
        "result": result ["hit" "miss" "refused"]
    )
    .increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = (cache, result);
}

/// Counts a fetch of the key set of an issuer, which succeeded at this time in seconds, or failed.
pub(crate) fn key_set_fetched<'a>(issuer: impl FnOnce() -> std::borrow::Cow<'a, str>, at: Option<u64>) {
    #[cfg(feature = "metrics")]
    {
        let issuer = issuer().into_owned();
        let outcome = if at.is_some() { "ok" } else { "failed" };
        ::metrics::counter!(KEY_SET_REFRESHES, "issuer" => issuer.clone(), "outcome" => outcome).increment(1);
        if let Some(at) = at {
            #[expect(clippy::cast_precision_loss, reason = "seconds since the epoch are far below 2⁵³")]
            ::metrics::gauge!(KEY_SET_REFRESHED, "issuer" => issuer).set(at as f64);
        }
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (issuer, at);
}

/// Counts a decision of a rate limiter.
#[inline]
pub(crate) fn limiter_decided(decision: &'static str) {
    #[cfg(feature = "metrics")]
    match decision {
        "admitted" => fixed!(register_counter(LIMITER_DECISIONS), "decision": "admitted"),
        "refused" => fixed!(register_counter(LIMITER_DECISIONS), "decision": "refused"),
        _ => ::metrics::counter!(LIMITER_DECISIONS, "decision" => decision),
    }
    .increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = decision;
}

/// Counts events that the sink of this name has lost.
pub(crate) fn audit_lost(sink: &'static str, count: u64) {
    #[cfg(feature = "metrics")]
    ::metrics::counter!(AUDIT_LOST, "sink" => sink).increment(count);
    #[cfg(not(feature = "metrics"))]
    let _ = (sink, count);
}

/// Sets the number of events that wait in the queue of the sink of this name.
pub(crate) fn audit_queued(sink: &'static str, count: impl FnOnce() -> usize) {
    #[cfg(feature = "metrics")]
    {
        let gauge = match sink {
            "channel" => fixed!(register_gauge(AUDIT_QUEUE), "sink": "channel"),
            "lines" => fixed!(register_gauge(AUDIT_QUEUE), "sink": "lines"),
            _ => ::metrics::gauge!(AUDIT_QUEUE, "sink" => sink),
        };
        #[expect(clippy::cast_precision_loss, reason = "a queue is shorter than 2⁵³")]
        gauge.set(count() as f64);
    }
    #[cfg(not(feature = "metrics"))]
    let _ = (sink, count);
}

/// The time that a verification takes; nothing without the feature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    #[cfg(feature = "metrics")]
    since: Instant,
}

impl Stopwatch {
    /// Starts at an instant that was read before, so that the clock is not read again.
    pub(crate) const fn since(instant: Instant) -> Self {
        #[cfg(not(feature = "metrics"))]
        let _ = instant;
        Self {
            #[cfg(feature = "metrics")]
            since: instant,
        }
    }

    /// Records the time since the start.
    #[cfg(feature = "metrics")]
    pub(crate) fn stop(self, method: &'static str, outcome: &'static str) {
        labelled!(
            histogram, register_histogram(VERIFICATION_DURATION),
            "method": method ["access_token" "api_key" "client_certificate" "introspection" "jwt"],
            "outcome": outcome ["ok" "refused" "unavailable"]
        )
        .record(self.since.elapsed());
    }
}
